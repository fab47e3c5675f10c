from __future__ import annotations

from collections.abc import Callable
from math import comb, exp

import pytest

Expectation = Callable[[Callable[[int, int], float], int, float, int, float], float]


@pytest.fixture(scope="session")
def expectation() -> Expectation:
    """Exact E[exp(log_e(f, g))] for f ~ Binomial(n, p_c) and g ~ Binomial(m, p_b), by enumeration."""

    def chance(bad: int, trials: int, p: float) -> float:
        return float(comb(trials, bad) * p**bad * (1 - p) ** (trials - bad))

    def of(log_e: Callable[[int, int], float], n: int, p_c: float, m: int, p_b: float) -> float:
        return sum(
            chance(f, n, p_c) * chance(g, m, p_b) * exp(log_e(f, g))
            for f in range(n + 1)
            for g in range(m + 1)
        )

    return of
