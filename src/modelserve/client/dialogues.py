"""What a client does for one call, without a socket or a clock: it asks for what it needs.

A dialogue is a generator that yields :class:`Send` and is given the outcome, or yields :class:`Wait` and goes
on when the seconds have passed. ``threaded`` and ``waiting`` play the other side, one with threads and one
with asyncio; so both clients retry, count and give up alike.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from modelserve.client import answers, calls
from modelserve.client.answers import Told
from modelserve.client.calls import Question
from modelserve.client.faults import fault
from modelserve.client.messages import REQUEST_ID_HEADER, REVISION_HEADER, Call, Reply
from modelserve.client.results import InferResult, ModelMetadata, Prediction, Predictions, ServerMetadata
from modelserve.client.retries import Budget, Retries
from modelserve.client.tensors import Unsayable
from modelserve.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelServeError,
    NotReady,
    Unavailable,
    UnknownRevision,
)

BINARY = "binary_tensor_data"
"""The extension's name in a server's metadata."""
ASK_AGAIN = 30.0
"""Seconds until a server that did not tell its extensions is asked again; JSON serves meanwhile if it can."""
ASK_TIMEOUT = 2.0
"""Seconds that the question for extensions may take; never more than half of the call's."""
LOOK = 0.01
"""Seconds between two looks at whether another call's question for extensions was answered."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this call; the outcome must be there, or an error, within so many seconds."""

    call: Call
    timeout: float


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


Outcome = Reply | ModelServeError | None
"""The answer to a Send, or why there is none; None after a Wait."""
T = TypeVar("T")
Dialogue = Generator[Send | Wait, Outcome, T]


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which one call is made. ``timeout``: seconds for everything, tries and waits included."""

    timeout: float
    revision: str | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise InvalidInput(f"timeout: got {self.timeout}; give seconds above 0")


class Dialogues:
    """The dialogues of one client; safe to begin from any thread."""

    def __init__(self, retries: Retries, binary: bool | None, now: Callable[[], float]) -> None:
        self._retries, self._budget, self._now = retries, Budget(retries), now
        self._binary, self._ask_at = binary, float("-inf")
        self._asking_until = float("-inf")
        """When the question for extensions that is under way will have ended."""

    def infer(
        self, model: str, inputs: Mapping[str, Any], outputs: Sequence[str], terms: Terms
    ) -> Dialogue[InferResult]:
        deadline = self._now() + terms.timeout
        as_bytes = yield from self._speaks_binary(min(terms.timeout / 2, ASK_TIMEOUT))
        call = _infer(model, inputs, outputs, as_bytes)
        left = deadline - self._now()
        if left <= 0:
            raise DeadlineExceeded(f"timeout: {terms.timeout:g} s passed before the call could be sent")
        reply, told = yield from self._ask(call, replace(terms, timeout=left))
        return answers.infer(reply, told)

    def predict(self, model: str, question: Question, terms: Terms) -> Dialogue[Prediction | Predictions]:
        reply, told = yield from self._ask(calls.predict(model, question), terms)
        return answers.predict(reply, told)

    def server_metadata(self, terms: Terms) -> Dialogue[ServerMetadata]:
        reply, _ = yield from self._ask(calls.server_metadata(), terms)
        return answers.server_metadata(reply)

    def model_metadata(self, model: str, terms: Terms) -> Dialogue[ModelMetadata]:
        reply, _ = yield from self._ask(calls.model_metadata(model), terms)
        return answers.model_metadata(reply)

    def live(self, terms: Terms) -> Dialogue[bool]:
        return (yield from self._whether(calls.live(), terms))

    def ready(self, model: str | None, terms: Terms) -> Dialogue[bool]:
        return (yield from self._whether(calls.ready(model), terms))

    def _whether(self, call: Call, terms: Terms) -> Dialogue[bool]:
        """Ask once: "no" is an answer, and so is nobody there."""
        try:
            yield from self._ask(call, terms, Retries(attempts=1))
        except (NotReady, Unavailable, DeadlineExceeded):
            return False
        return True

    def _speaks_binary(self, patience: float) -> Dialogue[bool | None]:
        """Whether the server takes binary data; None if it has not told within so many seconds."""
        if self._binary is None and self._now() >= self._ask_at:
            yield from self._ask_extensions(patience)
        end = min(self._asking_until, self._now() + patience)
        while self._binary is None and (left := min(end, self._asking_until) - self._now()) > 0:
            yield Wait(min(LOOK, left))
        return self._binary

    def _ask_extensions(self, patience: float) -> Dialogue[None]:
        self._asking_until, self._ask_at = self._now() + patience, self._now() + ASK_AGAIN
        try:
            reply, _ = yield from self._ask(calls.server_metadata(), Terms(patience), Retries(attempts=1))
            self._binary = BINARY in answers.server_metadata(reply).extensions
        except ModelServeError:
            pass  # the call itself will tell what is wrong, if it meets it too
        finally:
            self._asking_until = float("-inf")

    def _ask(self, call: Call, terms: Terms, retries: Retries | None = None) -> Dialogue[tuple[Reply, Told]]:
        request_id = terms.request_id or uuid.uuid4().hex
        headers = {REQUEST_ID_HEADER: request_id}
        if terms.revision is not None:
            headers[REVISION_HEADER] = terms.revision
        began = self._now()
        asked = call.with_headers(headers)
        reply, attempts = yield from self._persist(asked, terms.timeout, retries or self._retries)
        _check_revision(reply, terms.revision)
        answered = reply.headers.get(REQUEST_ID_HEADER, request_id)
        return reply, {"request_id": answered, "latency": self._now() - began, "attempts": attempts}

    def _persist(self, call: Call, timeout: float, retries: Retries) -> Dialogue[tuple[Reply, int]]:
        """Send until there is an answer, or no sense in another try."""
        deadline = self._now() + timeout
        self._budget.earn()
        attempt = 0
        while True:
            attempt += 1
            left = deadline - self._now()
            outcome = yield Send(call.within(left), left)
            error = fault(outcome) if isinstance(outcome, Reply) else outcome
            if error is None:
                assert isinstance(outcome, Reply)  # noqa: S101 - a Send is never answered with None
                return outcome, attempt
            pause = retries.delay(attempt, error)
            late = self._now() + pause >= deadline
            if not error.retryable or attempt >= retries.attempts or late or not self._budget.spend():
                raise error
            yield Wait(pause)


def _infer(model: str, inputs: Mapping[str, Any], outputs: Sequence[str], as_bytes: bool | None) -> Call:
    """``as_bytes`` None: if JSON cannot say the tensors."""
    try:
        return calls.infer(model, inputs, outputs, as_bytes=bool(as_bytes))
    except Unsayable:
        if as_bytes is not None:
            raise
        return calls.infer(model, inputs, outputs, as_bytes=True)


def _check_revision(reply: Reply, wanted: str | None) -> None:
    told = reply.headers.get(REVISION_HEADER)
    if wanted is not None and told not in (None, wanted):
        raise UnknownRevision(f'revision: asked for "{wanted}", but "{told}" answered; ask the front door')
