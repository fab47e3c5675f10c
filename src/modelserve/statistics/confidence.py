"""Confidence limits for a chance that hold at every moment at once, for people and for frozen records."""

from __future__ import annotations

from math import lgamma, log


def limits(bad: float, trials: float, error: float) -> tuple[float, float]:
    """(lower, upper): with probability 1 - ``error`` a constant chance lies between them at all times.

    A chance p is excluded while the beta(1/2, 1/2) mixture of likelihoods reaches 1/error times the
    likelihood of p. Source: Robbins, Ann. Math. Stat. 41 (1970), section 3; Howard et al., Ann. Stat. 49
    (2021), arXiv 1810.08240. ``bad`` of ``trials``, 0 <= bad <= trials; (0, 1) without trials.
    """
    if trials <= 0:
        return 0.0, 1.0
    mixture = _log_beta(bad + 0.5, trials - bad + 0.5) - _log_beta(0.5, 0.5)
    bound = mixture + log(error)
    rate = bad / trials
    return _edge(bad, trials, bound, rate, 0.0), _edge(bad, trials, bound, rate, 1.0)


def _edge(bad: float, trials: float, bound: float, inside: float, outside: float) -> float:
    """Bisect between the estimate and an end of [0, 1] for where the likelihood falls to the bound."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if _log_likelihood(bad, trials, middle) >= bound:
            inside = middle
        else:
            outside = middle
    return outside


def _log_likelihood(bad: float, trials: float, p: float) -> float:
    good = trials - bad
    of_bad = bad * log(p) if bad > 0 and p > 0 else (float("-inf") if bad > 0 else 0.0)
    of_good = good * log(1 - p) if good > 0 and p < 1 else (float("-inf") if good > 0 else 0.0)
    return of_bad + of_good


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
