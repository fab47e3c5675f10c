"""What a worker has in the place of a model: the engine's answers, and its ledger."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

from modelserve.domain.guardrails import Segment
from modelserve.domain.inference import InferenceRequest, InferenceResponse
from modelserve.domain.models import Task
from modelserve.serving.contracts import Codec
from modelserve.serving.identity import Identity
from modelserve.serving.segments import Segments
from modelserve.serving.workers import messages
from modelserve.serving.workers.link import Link


class RemoteCounting:
    """The figures of one revision, which the engine keeps."""

    def __init__(self, link: Link, model: str, revision: str) -> None:
        self._link, self._of = link, {"do": "count", "model": model, "revision": revision}

    def succeeded(self, arm: str, protocol: str, seconds: float, cached: bool = False) -> None:
        self._link.tell({**self._of, "how": "succeeded", "told": (arm, protocol, seconds, cached)})

    def failed(self, arm: str, protocol: str, status: int, fault: str, code: str) -> None:
        self._link.tell({**self._of, "how": "failed", "told": (arm, protocol, status, fault, code)})

    def divided(self, arm: str, parts: Mapping[str, str], failed: bool) -> None:
        self._link.tell({**self._of, "how": "divided", "told": (arm, parts, failed)})

    def abandoned(self, arm: str) -> None:
        self._link.tell({**self._of, "how": "abandoned", "told": (arm,)})

    def began(self, seconds: float) -> None:
        self._link.tell({**self._of, "how": "began", "told": (seconds,)})

    def went_on(self) -> None:
        self._link.tell({**self._of, "how": "went_on", "told": ()})


class RemoteCounts:
    """``own`` are the figures of the server's own revision."""

    def __init__(self, link: Link, service: str, revision: str) -> None:
        self.own = RemoteCounting(link, service, revision)


class RemoteSamples:
    """Sampled answers, which the engine keeps."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def add(
        self,
        request_id: str,
        arm: str,
        status: int,
        answer: dict[str, Any] | None,
        asked: dict[str, Any] | None = None,
    ) -> None:
        self._link.tell({"do": "sample", "told": (request_id, arm, status, answer, asked)})

    def remember(
        self, request_id: str, arm: str, predicted: dict[str, Any], parts: Mapping[str, str]
    ) -> None:
        self._link.tell({"do": "remember", "told": (request_id, arm, predicted, parts)})


class RemoteModel:
    """A model as the engine described it; answers as :class:`modelserve.serving.served.Served` does."""

    def __init__(self, link: Link, told: messages.Head) -> None:
        name, revision = told["name"], told["revision"]
        self.signature, self.task = messages.signature(told["signature"]), Task(told["task"])
        self.identity = Identity(name, revision)
        self.telemetry = RemoteCounting(link, name, revision)
        self._link = link
        self._largest: dict[str, int] = {}

    def require_room(self) -> None:
        """Only the engine knows; it says so when it is asked."""

    def largest_body(self, codec: Codec, most: int) -> int:
        if (known := self._largest.get(codec.name)) is None:
            bound = codec.largest_body(self)
            known = self._largest[codec.name] = most if bound is None else min(bound, most)
        return known

    async def answer(self, request: InferenceRequest) -> InferenceResponse:
        head, buffers = messages.ask("ask", request)
        told, payload = await self._link.ask(head, buffers, request.deadline)
        return messages.answered(told, payload, request.request_id)

    async def stream(self, request: InferenceRequest) -> AsyncGenerator[InferenceResponse, None]:
        """The pieces of one answer, each made when it is asked for."""
        head, buffers = messages.ask("stream", request)
        async with aclosing(self._link.stream(head, buffers, request.deadline)) as pieces:
            async for told, payload in pieces:
                yield messages.answered(told, payload, request.request_id)

    def __enter__(self) -> Self:
        """The engine holds its model itself, as long as it answers."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was taken."""


class RemotePlane:
    """The engine's models, from another process."""

    def __init__(self, path: Path) -> None:
        self.draining = False
        self._known: dict[tuple[str, str | None], RemoteModel] = {}
        self.segments = Segments()
        """What the engine wants calls to be divided by."""
        self.link = Link(path, self._forget, self._divide)

    def _forget(self) -> None:
        """An answer that is on its way is still put into the old place."""
        self._known = {}

    def _divide(self, segments: list[messages.Head]) -> None:
        self.segments.ask(map(Segment.model_validate, segments))

    def find(self, name: str, version: str | None) -> RemoteModel | None:
        return self._known.get((name, version))

    async def model(self, name: str, version: str | None, deadline: float | None = None) -> RemoteModel:
        """Ask the engine who answers for these names; remembered until it says that this changed."""
        known = self._known
        if (model := known.get((name, version))) is not None:
            return model
        left = None if deadline is None else deadline - time.monotonic()
        head = {"do": "model", "model": name, "revision": version, "left": left}
        told, _ = await self.link.ask(head, [], deadline)
        known[name, version] = model = RemoteModel(self.link, told["served"])
        return model
