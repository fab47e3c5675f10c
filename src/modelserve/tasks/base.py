"""Port: tasks, one adapter per kind of question that a model answers (text to entities, image to labels)."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from modelserve.domain.inference import Entity, Label, Tensors

Answer = tuple[Entity, ...] | tuple[Label, ...]


class Task(Protocol):
    """Turns what people send into tensors, and tensors into what people read."""

    def prepare(self, item: str | bytes) -> tuple[Tensors, Any]:
        """One item to tensors with a batch axis of 1, and what ``finish`` needs later.

        Raises InvalidInput, PayloadTooLarge or UnsupportedMedia.
        """

    def finish(self, outputs: Tensors, context: Any) -> Answer:
        """The model's outputs for one item (batch axis of 1) to an answer."""


@runtime_checkable
class Bounded(Protocol):
    """A task whose model may not take items as long as its package says it does."""

    most: int
    """The length of the longest item that is let through."""

    def of_length(self, length: int) -> Tensors:
        """Tensors of an item of about this length, with a batch axis of 1."""
