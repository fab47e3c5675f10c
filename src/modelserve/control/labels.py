"""Late labels in the controller: predictions come from the model servers, labels from people; the records
join them, and an observer reads what was counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from modelserve.control.book import Book
from modelserve.domain.labels import (
    WINDOW,
    Cell,
    CellCount,
    Label,
    LabelAnswer,
    LabelSums,
    Prediction,
    ShadowPrediction,
)
from modelserve.domain.rollouts import LabelledPairs
from modelserve.stores.records.base import Records

BATCH = 500
"""Rows in one transaction: no other writer waits long for it."""
PATIENCE = 900.0
"""Seconds that a label without a prediction is kept. A server's predictions are here within seconds, or, if
the controller was down, once it is up again."""
ROOM = 100_000
"""Labels that may wait for their prediction, of all services together."""


class LabelDesk:
    """Takes predictions and labels, one transaction after another.

    What is joined in one window of time is complete when the window is over and no transaction that began in
    it is still under way; so an observer that reads then misses nothing, however slow the store is.
    """

    def __init__(self, book: Book, now: Callable[[], float], keep: float, most: int) -> None:
        """``keep`` is in seconds, ``most`` the number of predictions, of all services together."""
        self._book, self._now = book, now
        self._keep, self._most = keep, most
        self._turn = asyncio.Lock()
        self._latest = 0.0
        self._writing: float | None = None
        """When the transaction under way began."""
        self.missed: Counter[str] = Counter()
        """By service, predictions that servers forgot before they were read, since this controller began."""
        self.answered: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By service, labels by what became of them, since this controller began."""

    @property
    def _records(self) -> Records:
        return self._book.records

    async def remember(self, service: str, made: Sequence[Prediction]) -> None:
        """Raises Unavailable, NotFound."""
        for start in range(0, len(made), BATCH):
            async with self._transaction() as now:
                batch = made[start : start + BATCH]
                await asyncio.to_thread(self._records.add_predictions, service, batch, now)

    async def remember_copies(self, service: str, made: Sequence[ShadowPrediction]) -> None:
        """Raises Unavailable, NotFound."""
        for start in range(0, len(made), BATCH):
            async with self._transaction() as now:
                batch = made[start : start + BATCH]
                await asyncio.to_thread(self._records.add_shadow_predictions, service, batch, now)

    async def take(self, service: str, told: Sequence[Label]) -> list[LabelAnswer]:
        """One answer for each, in their order. Raises Unavailable, NotFound."""
        answers = []
        for start in range(0, len(told), BATCH):
            async with self._transaction() as now:
                answers += await asyncio.to_thread(self._take, service, told[start : start + BATCH], now)
        self.answered[service].update(answer.state.value for answer in answers)
        return answers

    def _take(self, service: str, told: Sequence[Label], now: float) -> list[LabelAnswer]:
        room = ROOM - self._records.waiting_labels()
        return self._records.add_labels(service, told, now, room)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[float]:
        async with self._turn:
            # A clock that is set back must not lead into a window that was looked at.
            self._writing = self._latest = max(self._now(), self._latest)
            try:
                yield self._writing
            finally:
                self._writing = None

    def window(self) -> int:
        """The earliest window that may still get labels."""
        return int((self._now() if self._writing is None else self._writing) // WINDOW)

    async def next_cell(self, service: str, after: Cell) -> tuple[Cell, tuple[CellCount, ...]] | None:
        """The first cell after another of a window that is over. Raises Unavailable."""
        return await asyncio.to_thread(self._records.next_cell, service, after, self.window())

    async def next_pairs(
        self, service: str, revision: str, after: int
    ) -> tuple[int, Mapping[str, LabelledPairs]] | None:
        """The labelled shadow pairs of the first window after another that is over. Raises Unavailable."""
        return await asyncio.to_thread(
            self._records.next_labelled_pairs, service, revision, after, self.window()
        )

    async def sums(self, service: str) -> LabelSums:
        return await asyncio.to_thread(self._records.label_sums, service)

    async def prune(self) -> None:
        """Forget what is too old or too much, a part at a time."""
        old = self._now() - self._keep
        bounds = (old, self._now() - PATIENCE, self._most, int(old // WINDOW))
        while await asyncio.to_thread(self._records.prune_labels, *bounds):
            continue

    async def forget(self, service: str) -> None:
        """Everything about a service that is gone; nothing about one that is there. Raises Unavailable."""
        self.missed.pop(service, None)
        self.answered.pop(service, None)
        while await asyncio.to_thread(self._records.forget_labels, service):
            continue
