"""Two arms against each other: their outcomes matched in the order in which they were told.

The k-th block takes the next outcomes of both arms and keeps the difference of their means. Within each arm
outcomes are alike and independent, whoever is assigned next and why; so every difference has the same mean,
what was seen before says nothing about it, and the limits of ``statistics.bounded`` hold whatever the weights
do, also where they follow the outcomes. For that, how many a block takes, and whether an outcome takes part
at all, must not depend on what it is: a block takes as many as the weights say, and, only while nothing but
chance and people decide on the weights, more of an arm that runs ahead.
"""

from __future__ import annotations

from collections import deque
from math import fsum

from modelserve.statistics.bounded import Sums

LARGEST = 16
"""Outcomes of one arm in a block, as far as the weights decide it."""
_QUEUE = 64
"""Outcomes that may wait for each one that a block takes."""
_MOST = 4096
"""Outcomes that may wait at all; of an arm with as many, the next ones are passed over until some left."""


class Match:
    """``first`` minus ``second``, for outcomes between ``low`` and ``high``."""

    def __init__(
        self, low: float, high: float, weights: tuple[float, float] = (0.5, 0.5), *, catch_up: bool = True
    ) -> None:
        """``catch_up``: take more of an arm that runs ahead; False where the weights follow the outcomes."""
        span = high - low
        self.differences = Sums(-span, span)
        self._usual = ratio(*weights)
        self._waiting = (deque[float](), deque[float]())
        self._sizes = self._usual
        self._catch_up = catch_up

    def add(self, side: int, value: float) -> None:
        """One outcome of the first (0) or the second (1) arm."""
        if len(self._waiting[side]) < _MOST:
            self._waiting[side].append(value)
        while all(len(queue) >= size for queue, size in zip(self._waiting, self._sizes, strict=True)):
            first, second = (_mean(q, size) for q, size in zip(self._waiting, self._sizes, strict=True))
            self.differences.add(first - second)
            self._sizes = self._next_sizes()

    def _next_sizes(self) -> tuple[int, int]:
        if not self._catch_up:
            return self._usual
        first, second = (
            max(usual, len(queue) // _QUEUE) for usual, queue in zip(self._usual, self._waiting, strict=True)
        )
        return first, second


def ratio(first: float, second: float) -> tuple[int, int]:
    """Two weights as small whole numbers: 0.9 and 0.1 -> (9, 1)."""
    least = min(first, second)
    if least <= 0:
        return 1, 1
    return _whole(first / least), _whole(second / least)


def _whole(times: float) -> int:
    return min(LARGEST, max(1, round(times)))


def _mean(queue: deque[float], size: int) -> float:
    return fsum(queue.popleft() for _ in range(size)) / size
