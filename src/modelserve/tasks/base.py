"""Port: tasks, one adapter per kind of question that a model answers (text to entities, image to labels)."""

from __future__ import annotations

from typing import Any, Protocol

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
