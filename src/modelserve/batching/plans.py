"""How a model's runs share the cores and how many items share a run: decided from what was measured.

A *rate* is items a second with all workers busy. Measurements are noisy, so that what is usual is left only
for what is clearly better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SIZES = (1, 2, 4, 8, 16, 32)
"""Sizes of batches that are compared."""
BETTER = 1.10
"""Times the usual rate from which something else is chosen."""
LEAST_TURNS = 2
"""Comparisons that a choice rests on."""
NEAR = 0.97
"""Share of the best rate with which a smaller batch is as good: it answers sooner."""


@dataclass(frozen=True, slots=True)
class Crew:
    """``workers`` batches run at the same time, each on ``cores`` cores."""

    workers: int
    cores: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is run: by whom, and at most how many items together."""

    crew: Crew
    max_batch: int


def alternatives(usual: Crew) -> Iterator[Crew]:
    """Fewer workers with more cores for each, twice as many each time, up to one worker with all of them."""
    total, cores = usual.workers * usual.cores, usual.cores * 2
    while cores < total:
        yield Crew(total // cores, cores)
        cores *= 2
    if total > usual.cores:
        yield Crew(1, total)


def clearly_better(turns: Sequence[tuple[float, float]]) -> bool:
    """Whether a rival may replace what is usual, by the rates of both in each turn, the usual one's first.

    Once is chance: it takes two turns at least, and every one of them.
    """
    return len(turns) >= LEAST_TURNS and all(rival >= BETTER * usual for usual, rival in turns)


def useful_size(rates: Mapping[int, float], usual: int) -> int:
    """The smallest size that is about as good as the best; above ``usual`` only what is clearly better.

    Where the best is the largest that there was time for, what lies beyond it is unknown: ``usual``.
    """
    if not rates:
        return usual
    small = {size: rate for size, rate in rates.items() if size <= usual}
    best = max(rates.values())
    if small and best < BETTER * max(small.values()):
        best = max(small.values())
    size = min(size for size, rate in rates.items() if rate >= NEAR * best)
    return size if size < max(rates) or size == SIZES[-1] else usual


def worth_going_on(rates: Mapping[int, float]) -> bool:
    """Whether sizes beyond those measured may bring something: not after two that brought nothing."""
    measured = sorted(rates)
    if len(measured) < 3:
        return True
    before = max(rates[size] for size in measured[:-2])
    return max(rates[size] for size in measured[-2:]) * NEAR > before
