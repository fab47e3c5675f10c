"""Exact limits for a share that was counted over independent runs."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log, log1p


def upper(bad: int, runs: int, error: float = 0.05) -> float:
    """Clopper-Pearson's one-sided upper limit: the share at which so few would be seen with chance ``error``.

    Source: Clopper & Pearson, Biometrika 26 (1934).
    """
    return _solve(lambda p: at_most(bad, runs, p) - error) if bad < runs else 1.0


def lower(good: int, runs: int, error: float = 0.05) -> float:
    """The one-sided lower limit."""
    return 1 - upper(runs - good, runs, error)


def at_most(bad: int, runs: int, p: float) -> float:
    """Chance of ``bad`` or fewer among ``runs``, each with chance ``p`` in (0, 1)."""
    return sum(exp(_log_choose(runs, k) + k * log(p) + (runs - k) * log1p(-p)) for k in range(bad + 1))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _solve(falling: Callable[[float], float]) -> float:
    low, high = 1e-12, 1 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
