"""Port: runtimes, one adapter per engine that can run a model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from modelserve.domain.inference import Signature, Tensors
from modelserve.domain.models import ModelPackage

DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)
"""When the batch that runs on this thread stops being worth an answer: monotonic seconds, None if never."""


class Model(Protocol):
    """A model in memory. ``predict`` is called from several threads at once and lets go of the GIL. Nothing
    that it is given changes under it."""

    signature: Signature
    steady: bool
    """Whether a run computes in this process and takes as long as its input's size says: a short one may then
    take place on the event loop. False for what waits for another process, or runs anybody's code."""

    def predict(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        """Run one batch (batch axis first); ``outputs`` empty means all. Raises ModelFailed."""

    def close(self) -> None: ...


@runtime_checkable
class Streaming(Protocol):
    """A model that can answer piece by piece."""

    streams: bool
    """Whether this very model does."""
    whole: bool
    """Whether ``predict`` answers, too."""

    def stream(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Iterator[Tensors]:
        """The pieces of one answer, as the model makes them; it makes none that is not asked for.

        Closing the iterator ends the model's work on it. Raises what ``predict`` raises.
        """


@runtime_checkable
class Accelerated(Protocol):
    """A model that may run beside the processor."""

    accelerated: bool
    """Whether this very model does."""


def is_accelerated(model: Model) -> bool:
    return isinstance(model, Accelerated) and model.accelerated


@runtime_checkable
class TakingTurns(Protocol):
    """A model of which two runs may not overlap; who calls it meanwhile waits."""

    turns: str
    """Why, for people; empty if this very model's runs may overlap."""


def why_turns(model: Model) -> str:
    """Why the model's runs take turns; empty if they don't. One worker is all that it can use."""
    return model.turns if isinstance(model, TakingTurns) else ""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How an engine outside of this process is."""

    available: bool
    """Whether a batch would be answered now."""
    memory: Mapping[int, int] = field(default_factory=dict)
    """Resident bytes of each of its processes, by number from 0."""
    replaced: Mapping[str, int] = field(default_factory=dict)
    """Processes replaced since the start, by reason: died, hung, memory."""


@runtime_checkable
class Outside(Protocol):
    """A model that runs outside of this process and may be out of reach for a while."""

    lanes: int
    """Batches that it takes at the same time; others wait."""

    def vitals(self) -> Vitals: ...


class Runtime(Protocol):
    def load(self, package: ModelPackage) -> Model:
        """Raises InvalidPackage if the engine refuses the file."""


@runtime_checkable
class Tunable(Protocol):
    """A runtime whose runs may use a number of cores that it is told."""

    engine: str
    """Name and version of the engine, and on what it runs."""

    def load(self, package: ModelPackage) -> Model:
        """As :class:`Runtime`."""

    def on_cores(self, cores: int) -> Runtime:
        """The same engine; each run may use so many cores."""
