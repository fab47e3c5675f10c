"""Confidence limits for the mean of bounded values that hold at every moment at once.

The empirical-Bernstein bound of Howard, Ramdas, McAuliffe & Sekhon (Ann. Stat. 49, 2021, arXiv 1810.08240,
theorem 4; after Fan, Grama & Liu 2015), in its betting form (Waudby-Smith & Ramdas, JRSS B 86, 2024, arXiv
2010.09686): with g_i a guess of x_i made before it is seen, c the width of the range, and
psi(l) = -log(1 - l) - l,

    exp(l sum (x_i - m) / c - psi(l) sum (x_i - g_i)^2 / c^2),   0 <= l < 1

is an e-process for the mean m, and so is a mixture over l. The bound adapts to the variance that is seen,
and nothing is assumed but the range and that every value has the mean m given those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log1p

BETS = tuple(0.5**k for k in range(1, 17))
"""The l of the mixture, all of the same weight: a factor of 2 misses the best one by 6 % of the exponent."""
_COSTS = tuple(-log1p(-bet) - bet for bet in BETS)


@dataclass(slots=True)
class Sums:
    """What is remembered of values between ``low`` and ``high``: three numbers, however many there were."""

    low: float
    high: float
    n: int = 0
    total: float = 0.0
    spread: float = 0.0
    """Sum of (x_i - g_i)^2, the guess being the mean so far with the middle of the range as one value."""

    def add(self, value: float) -> None:
        guess = (self.total + (self.low + self.high) / 2) / (self.n + 1)
        self.n += 1
        self.total += value
        self.spread += (value - guess) ** 2

    @property
    def mean(self) -> float | None:
        return self.total / self.n if self.n else None


def limits(sums: Sums, error: float) -> tuple[float, float]:
    """(lower, upper): with probability 1 - ``error`` the mean lies between them at all times."""
    if not sums.n:
        return sums.low, sums.high
    width = sums.high - sums.low
    reach = deviation(sums.spread / width**2, error / 2) * width / sums.n
    mean = sums.total / sums.n
    return max(sums.low, mean - reach), min(sums.high, mean + reach)


def excludes(sums: Sums, mean: float, error: float) -> bool:
    """Whether ``mean`` lies outside of the limits now."""
    width = sums.high - sums.low
    shift = abs(sums.total - sums.n * mean) / width
    return evidence(shift, sums.spread / width**2) >= log(2 / error)


def deviation(spread: float, error: float) -> float:
    """How far a sum may be above its expectation, in units of the range, before that is excluded."""
    bound = log(1 / error)
    low, high = 0.0, min((bound + log(len(BETS)) + cost * spread) / bet for bet, cost in _bets())
    for _ in range(50):
        middle = (low + high) / 2
        if evidence(middle, spread) < bound:
            low = middle
        else:
            high = middle
    return high


def evidence(shift: float, spread: float) -> float:
    """log of the mixture for a sum that is ``shift`` above its expectation; both in units of the range."""
    logs = [bet * shift - cost * spread for bet, cost in _bets()]
    top = max(logs)
    return top + log(sum(exp(value - top) for value in logs) / len(logs))


def _bets() -> zip[tuple[float, float]]:
    return zip(BETS, _COSTS, strict=True)
