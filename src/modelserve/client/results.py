"""What a call gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelserve.domain.inference import Array, Entity, Label, TensorSpec

Answer = tuple[Entity, ...] | tuple[Label, ...]
"""What a model says about one item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Who answered a call, and how long it took."""

    model: str
    revision: str
    """The revision that answered."""
    request_id: str
    """Finds the call in the server's log."""
    latency: float
    """Seconds from the call to its answer, tries and waits between them included."""
    attempts: int
    """Tries that it took; 1 without a retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferResult(Answered):
    """Output tensors by name; ``result["y"]`` is ``result.outputs["y"]``."""

    outputs: Mapping[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.outputs[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Answered):
    """What a task model says about one text or image: entities or labels, whichever its task gives."""

    entities: tuple[Entity, ...] = ()
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions(Answered):
    """What a task model says about several texts or images, in their order."""

    results: tuple[Answer, ...]

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What a server is; ``extensions`` of the Open Inference Protocol that it speaks."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model's tensors, the batch axis first; -1 is any length."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
