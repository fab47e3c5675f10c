"""Who shares a batch: items of one kind, as long as padding them costs less than runs of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modelserve.batching.calls import Item
from modelserve.batching.cost import CostModel


class Batch:
    """The items of one batch while it is filled; the first always fits."""

    __slots__ = ("_cost", "_kind", "_most", "_size", "items", "rows")

    def __init__(self, first: Item, most: int, cost: CostModel) -> None:
        self.items: list[Item] = []
        self.rows = 0
        self._kind, self._most, self._cost = first.kind, most, cost
        self._size = 0

    def admits(self, item: Item) -> bool:
        """Whether the item may join, and padding it, or the rest to it, is cheaper than a run of its own."""
        if item.kind != self._kind:
            return False
        if not self.items:
            return True
        rows = self.rows + item.rows
        if rows > self._most:
            return False
        if item.size == self._size:
            return True
        after = rows * max(self._size, item.size)
        return self._cost.worth_joining(self.rows * self._size, after, item.rows * item.size)

    def add(self, item: Item) -> None:
        self.items.append(item)
        self.rows += item.rows
        self._size = max(self._size, item.size)


def partition(items: Iterable[Item], most: int, cost: CostModel) -> Iterator[list[Item]]:
    """Items of one kind as batches of at most ``most`` rows, items of similar size together."""
    batch: Batch | None = None
    for item in sorted(items, key=lambda item: item.size):
        if batch is None or not batch.admits(item):
            if batch is not None:
                yield batch.items
            batch = Batch(item, most, cost)
        batch.add(item)
    if batch is not None:
        yield batch.items
