"""Histograms on fixed buckets: tails, quantiles, and forgetting."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Tails:
    """A histogram summed up once, so that any tail or quantile is a look-up."""

    __slots__ = ("_below", "total")

    def __init__(self, counts: Sequence[float]) -> None:
        self._below = [0, *accumulate(counts)]
        self.total = self._below[-1]

    def beyond(self, bucket: int) -> float:
        """How many lie in ``bucket`` and above; ``bucket`` may lie past the end."""
        return self.total - self._below[min(bucket, len(self._below) - 1)]

    def bucket_of(self, quantile: float) -> int:
        """The first bucket at which the share so far reaches ``quantile`` (> 0); -1 if there is nothing."""
        if self.total <= 0:
            return -1
        return bisect_left(self._below, min(quantile * self.total, self.total), lo=1) - 1


def remember(counts: Sequence[float], new: Sequence[float], memory: float) -> tuple[float, ...]:
    """Both together, the old ones shrunk first so that about ``memory`` answers remain in all."""
    if not counts:
        return tuple([float(b) for b in new])
    room = max(memory - sum(new), 0.0)
    held = sum(counts)
    keep = room / held if held > room else 1.0
    return tuple([a * keep + b for a, b in zip(counts, new, strict=True)])
