"""One model in memory that answers: its engine, its figures, and the way of a request through them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Self

from modelserve.batching.joining import Fit, Joiner, merge
from modelserve.batching.plans import Plan
from modelserve.batching.sharing import UNTRIED, Sharing
from modelserve.domain.inference import InferenceRequest, InferenceResponse, Signature, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.domain.models import Task as TaskName
from modelserve.errors import InvalidInput, PayloadTooLarge
from modelserve.runtimes.base import Model, Outside, Streaming, why_turns
from modelserve.serving.calibrations import Circumstances
from modelserve.serving.contracts import Codec
from modelserve.serving.engine import Engine
from modelserve.serving.identity import Identity
from modelserve.serving.jobs import TaskJob, TensorJob
from modelserve.serving.settling import told, usual
from modelserve.serving.streaming import Streams
from modelserve.settings import ServerSettings
from modelserve.tasks.base import Answer, Task
from modelserve.telemetry import Telemetry

CHEAP_TEXT = 2000
"""Characters in one call's texts up to which they are prepared on the event loop; a few tenths of a ms."""
CHEAP_TEXTS = 8
"""Texts up to which the same holds: each costs its own call of the tokenizer."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """A model that can be run in several ways: ``on_cores`` loads it once more for another number of cores, a
    second copy of its weights until one of both is closed. What is found out holds in ``circumstances``."""

    circumstances: Circumstances
    on_cores: Callable[[int], Model]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A package in memory. ``task`` is None for a model that takes tensors alone."""

    package: ModelPackage
    model: Model
    task: Task | None
    tuning: Tuning | None = None
    """How it may be tuned; None where the engine does not let itself be."""
    plan: Plan | None = None
    """How it is to be run where the settings leave that open; None: as usual."""
    sharing: Sharing = UNTRIED
    """Whether requests may share its runs, as the warm-up finds out."""
    even: bool = True
    """Whether a run takes as long as its input's size says, as far as its file tells."""
    doubts: tuple[str, ...] = ()
    """Why it may not be fit, although it is served."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What its owner should know of how it is served."""
        turns = why_turns(self.model)
        alone = "every request runs alone and whole: " if not self.sharing.rows else ""
        return (
            *self.doubts,
            *([alone + self.sharing.why] if self.sharing.why else []),
            *([f"each copy of it takes one run at a time: {turns}"] if turns else []),
        )

    @property
    def joiner(self) -> Joiner:
        """What joins and cuts its requests."""
        return Joiner(self.model.signature, self.sharing)


class Served:
    """One revision of one model. Lives on the event loop's thread."""

    def __init__(
        self, name: str, revision: str, loaded: Loaded, engine: Engine, settings: ServerSettings,
        telemetry: Telemetry,
    ) -> None:  # fmt: skip
        self.name, self.revision = name, revision
        self.loaded, self.engine, self.telemetry = loaded, engine, telemetry
        self.signature: Signature = loaded.model.signature
        self.task = loaded.package.task if loaded.task is not None else TaskName.TENSOR
        """What the model is for."""
        self.runtime = loaded.package.runtime
        self.identity = Identity(name, revision)
        self.plan = usual(settings)
        """How it is run."""
        self.in_flight = 0
        """Calls that hold it; a model that was let go of is closed when there are none."""
        self._largest: dict[str, int] = {}
        self._idle: asyncio.Event | None = None
        self._joiner = loaded.joiner
        self._max_batch, self._max_items = settings.batch_size, settings.max_items
        self._streams = _streams(loaded.model, settings)
        if self._streams is not None:
            telemetry.streams = self._streams

    @property
    def parameters(self) -> dict[str, int | str]:
        """How it is run, for its metadata: the plan, why runs take turns where they do, and why requests do
        not share a run where they don't."""
        sharing, turns = self.loaded.sharing, why_turns(self.loaded.model)
        batching = "rows" if sharing.rows else "none"
        return {
            **told(self.plan),
            **({"workers_why": turns} if turns else {}),
            "batching": batching,
            **({"batching_why": sharing.why} if sharing.why else {}),
        }

    @property
    def available(self) -> bool:
        """Whether it would answer: not while an engine outside of this process is out of reach."""
        model = self.loaded.model
        return not isinstance(model, Outside) or model.vitals().available

    def require_room(self) -> None:
        """Raise Overloaded if one more call would be refused."""
        self.engine.require_room()

    def largest_body(self, codec: Codec, most: int) -> int:
        """Bytes that a body in this protocol may have, at most ``most``: more is of no use to the model."""
        if (known := self._largest.get(codec.name)) is None:
            bound = codec.largest_body(self)
            known = self._largest[codec.name] = most if bound is None else min(bound, most)
        return known

    async def answer(self, request: InferenceRequest) -> InferenceResponse:
        """Run one call.

        Raises InvalidInput, PayloadTooLarge, UnsupportedMedia, Overloaded, DeadlineExceeded or ModelFailed.
        """
        with self:
            if request.tensors is not None:
                tensors = await self._tensors(request.tensors, request)
                return InferenceResponse(self.name, self.revision, request.request_id, tensors)
            answers = await self._answers(request.items or (), request)
            return InferenceResponse(self.name, self.revision, request.request_id, None, answers)

    async def stream(self, request: InferenceRequest) -> AsyncGenerator[InferenceResponse, None]:
        """The pieces of one answer; the whole of it as the only one if the model makes none, or the request
        holds no tensors. Raises as :meth:`answer` does."""
        if self._streams is None or request.tensors is None:
            yield await self.answer(request)
            return
        self._counted(request.tensors, request.outputs)
        with self:
            pieces = self._streams.pieces(request.tensors, request.outputs, request.deadline)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield InferenceResponse(self.name, self.revision, request.request_id, piece)

    def __enter__(self) -> Self:
        """Hold the model: until the block ends it is not closed, whoever lets go of it."""
        self.in_flight += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """One call less holds it."""
        self.in_flight -= 1
        if self._idle is not None and not self.in_flight:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no call holds it; ask once no new one comes."""
        while self.in_flight:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def _tensors(self, tensors: Tensors, request: InferenceRequest) -> Tensors:
        joiner, outputs = self._joiner, request.outputs
        whole = self._counted(tensors, outputs)
        if whole.rows <= self._max_batch or not joiner.joinable:
            found: Tensors = await self.engine.run_one(TensorJob(tensors, whole, outputs), request)
            return found
        chunks = joiner.chunks(tensors, self._max_batch)
        jobs = [TensorJob(chunk, joiner.fit(chunk, outputs), outputs) for chunk in chunks]
        return merge(await self.engine.run(jobs, request))

    def _counted(self, tensors: Tensors, outputs: tuple[str, ...]) -> Fit:
        """Raises PayloadTooLarge for more rows than one request may have, if the first axis counts rows."""
        fit = self._joiner.fit(tensors, outputs)
        if fit.rows > self._max_items and self._joiner.joinable:
            raise _too_many(fit.rows, "rows", self._max_items)
        return fit

    async def _answers(self, items: Sequence[str | bytes], request: InferenceRequest) -> tuple[Answer, ...]:
        task = self.loaded.task
        if task is None:
            raise InvalidInput("this model takes tensors; ask it at /v2/models/{name}/infer")
        if len(items) > self._max_items:
            raise _too_many(len(items), "items", self._max_items)
        places = [f"item {index}" for index in range(len(items))] if len(items) > 1 else [""]
        jobs = [TaskJob(task, item, place) for item, place in zip(items, places, strict=True)]
        if _cheap(items):
            for job in jobs:
                job.prepare(self._joiner)
        return tuple(await self.engine.run(jobs, request))

    def close(self) -> bool:
        """Stop the workers and let go of the model. Whether no run was left behind."""
        if stopped := self.engine.close():
            self.loaded.model.close()
        return stopped


def _streams(model: Model, settings: ServerSettings) -> Streams | None:
    if not isinstance(model, Streaming) or not model.streams:
        return None
    places = model.lanes if isinstance(model, Outside) else settings.worker_threads
    return Streams(model, places, settings.max_waiting)


def _too_many(count: int, what: str, most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"got {count} {what}; at most {most} fit in one request")


def _cheap(items: Sequence[str | bytes]) -> bool:
    if len(items) > CHEAP_TEXTS:
        return False
    return all(isinstance(item, str) for item in items) and sum(map(len, items)) <= CHEAP_TEXT
