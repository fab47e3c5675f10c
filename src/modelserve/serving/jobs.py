"""One item's journey through the engine: from what the client sent to what it gets.

``prepare`` and ``finish`` may be called on a worker thread; ``result`` or ``error`` is set when it is done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from modelserve.batching.joining import Fit, Joiner
from modelserve.domain.inference import Tensors
from modelserve.errors import ClientFault
from modelserve.tasks.base import Task


class Job(ABC):
    """``fit`` is None until the tensors are there."""

    __slots__ = ("error", "fit", "outputs", "result", "tensors")

    def __init__(self, tensors: Tensors, fit: Fit | None, outputs: tuple[str, ...]) -> None:
        self.tensors, self.fit, self.outputs = tensors, fit, outputs
        self.result: Any = None
        self.error: Exception | None = None

    @property
    def rows(self) -> int:
        return self.fit.rows if self.fit is not None else 1

    @property
    def cost(self) -> int:
        return self.fit.cost if self.fit is not None else 1

    @abstractmethod
    def prepare(self, joiner: Joiner) -> None:
        """Make the tensors. Raises what the task raises for a bad item."""

    @abstractmethod
    def finish(self, piece: Tensors) -> None:
        """Make the result of the item's own outputs."""


class TensorJob(Job):
    """Rows that a client sent as tensors; the result is their outputs."""

    __slots__ = ()

    def prepare(self, joiner: Joiner) -> None:
        """The tensors are there already."""

    def finish(self, piece: Tensors) -> None:
        self.result = piece


class TaskJob(Job):
    """A text or an image; the result is the task's answer. ``place`` names it in an error, if given."""

    __slots__ = ("_context", "_item", "_place", "_task")

    def __init__(self, task: Task, item: str | bytes, place: str = "") -> None:
        super().__init__({}, None, ())
        self._task, self._item, self._place = task, item, place
        self._context: Any = None

    def prepare(self, joiner: Joiner) -> None:
        try:
            self.tensors, self._context = self._task.prepare(self._item)
        except ClientFault as error:
            if not self._place:
                raise
            raise type(error)(f"{self._place}: {error.message}") from None
        self.fit = joiner.fit(self.tensors)

    def finish(self, piece: Tensors) -> None:
        self.result = self._task.finish(piece, self._context)
