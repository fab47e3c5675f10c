"""A model of another server, called like one of ours."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from modelserve.domain.inference import Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import DeadlineExceeded, InvalidPackage, ModelServeError
from modelserve.runtimes.base import DEADLINE, Vitals
from modelserve.runtimes.external.connection import Connection, as_object
from modelserve.runtimes.external.describing import LIMIT, metadata
from modelserve.runtimes.external.messages import answer, question

LOG = logging.getLogger("modelserve.engine")
LANES = 16
"""Batches under way to the other server at the same time."""
LOOK = 1.0
"""Seconds between two looks at whether the other server is ready."""
LONGEST = 600.0
"""Seconds for an answer that nobody has set a deadline for."""


class ExternalRuntime:
    """Refers to models; nothing is loaded here."""

    def load(self, package: ModelPackage) -> ExternalModel:
        """Raises InvalidPackage if the server now says something else than when the revision was made.

        A server that is away is no reason to give up: the model is available once it is back.
        """
        return ExternalModel(package)


class ExternalModel:
    """Sends batches on. Available while the other server says that its model is ready."""

    lanes = LANES
    steady = False

    def __init__(self, package: ModelPackage) -> None:
        if package.external is None:
            raise InvalidPackage(f"{package.path.name}: does not say which server answers")
        self.signature = package.signature
        self._raw = package.external.binary
        self._connection = Connection(package.external.url, LANES)
        self._closing = threading.Event()
        self._available = self._look()
        if self._available:
            self._check()
        threading.Thread(target=self._watch, name="external-watch", daemon=True).start()

    def predict(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        """Run one batch there, within the deadline of its calls, which goes along.

        Raises InvalidInput, PayloadTooLarge, Overloaded, DeadlineExceeded, Unavailable or ModelFailed.
        """
        limit = _time_left()
        body, headers = question(tensors, outputs, self._raw)
        headers["x-envoy-expected-rq-timeout-ms"] = str(max(1, int(limit * 1000)))
        content, told = self._connection.post("/infer", body, headers, limit)
        return answer(content, told, self.signature, outputs)

    def vitals(self) -> Vitals:
        return Vitals(self._available)

    def close(self) -> None:
        self._closing.set()
        self._connection.close()

    def _check(self) -> None:
        said = metadata(self._connection)
        for role, specs in (("inputs", self.signature.inputs), ("outputs", self.signature.outputs)):
            known = [{"name": s.name, "datatype": s.datatype.value, "shape": list(s.shape)} for s in specs]
            if said[role] != known:
                raise InvalidPackage(
                    f"the external server's {role} are {said[role]} now, and were {known} when this revision "
                    "was made; apply the service again"
                )

    def _watch(self) -> None:
        while not self._closing.wait(LOOK):
            available = False
            try:
                available = self._look()
            except Exception:
                if self._available:
                    LOG.exception("looking at the external server failed")
            if available != self._available and not self._closing.is_set():
                LOG.warning("the external server is %s", "ready again" if available else "not ready")
            self._available = available

    def _look(self) -> bool:
        """Whether it says that it is ready: with status 200, and not with ``false`` in a body."""
        try:
            said = self._connection.get("/ready", LIMIT)
            return not said.startswith(b"{") or as_object(said).get("ready") is not False
        except ModelServeError:
            return False


def _time_left() -> float:
    """Seconds until nobody waits for this batch any more. Raises DeadlineExceeded if that has passed."""
    deadline = DEADLINE.get()
    if deadline is None:
        return LONGEST
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the deadline passed before the request could be sent on")
    return left
