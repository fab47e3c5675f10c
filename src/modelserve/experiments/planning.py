"""How many participants an experiment needs, the price of looking at any time included.

With a difference d between two rates and n matched pairs, the sum of the differences is about
n d - z sqrt(n v) or more with the power that is asked for (v is the variance of one difference); the plan is
the least n at which even that is beyond the bound. A readout that is looked at all the time crosses the bound
earlier as often as not, so the power is rather a little larger than asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

from modelserve.errors import InvalidInput
from modelserve.statistics.bounded import deviation

LIMIT = 2**40
"""Participants beyond which no plan is made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Participants of each arm, all arms having the same weight."""

    per_arm: int
    """So many let a difference as large as this be seen, with the power that was asked for."""
    once: int
    """So many would do for a test that is looked at once, at the end, and never before."""
    equivalence: int | None
    """So many show, likewise, that there is no difference beyond the margin; None: no margin was given."""
    arms: int

    @property
    def total(self) -> int:
        return self.per_arm * self.arms


def plan(
    baseline: float,
    lift: float,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    arms: int = 2,
    margin: float | None = None,
) -> Plan:
    """``lift`` is relative: 0.1 finds 0.11 where the baseline is 0.1. Raises InvalidInput."""
    better = baseline * (1 + lift)
    _check(baseline, better, lift)
    error = (1 - confidence) / (arms * (arms - 1) / 2)
    z = NormalDist().inv_cdf(power)
    change, variance = abs(better - baseline), _variance(baseline) + _variance(better)
    once = variance * (NormalDist().inv_cdf(1 - error / 2) + z) ** 2 / change**2
    same = 2 * _variance(baseline)
    still = _least(lambda n: _reach(n, same, error) + z * sqrt(same / n) <= margin) if margin else None
    found = _least(lambda n: _reach(n, variance, error) + z * sqrt(variance / n) <= change)
    return Plan(found, ceil(once), still, arms)


def _reach(n: int, variance: float, error: float) -> float:
    """Half the width of the interval of a difference of rates after ``n`` pairs; the range is -1 to 1."""
    return 2 * deviation(n * variance / 4, error / 2) / n


def _variance(rate: float) -> float:
    return rate * (1 - rate)


def _least(suffices: Callable[[int], bool]) -> int:
    """The least number from which on ``suffices`` holds. Raises InvalidInput beyond ``LIMIT``."""
    high = 2
    while not suffices(high):
        high *= 2
        if high > LIMIT:
            raise InvalidInput(
                f"more than {LIMIT} participants would be needed: look for a larger difference"
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _check(baseline: float, better: float, lift: float) -> None:
    if not 0 < baseline < 1:
        raise InvalidInput(
            f"--baseline: got {baseline:g}: must be a rate between 0 and 1, such as 0.1 or 10%"
        )
    if lift == 0 or not 0 <= better <= 1:
        raise InvalidInput(
            f"--lift: got {lift * 100:g}%: must change the baseline of {baseline:g} to another rate in 0 to 1"
        )
