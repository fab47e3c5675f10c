from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import betaln, xlog1py, xlogy

from modelserve.statistics.confidence import limits


def test_at_all_times_at_once():
    """At most 5 % of paths ever leave their 95 % limits."""
    rng, left = np.random.default_rng(11), 0
    moments = [5, 20, 60, 150, 400, 1000]
    for _ in range(300):
        path = np.cumsum(rng.random(1000) < 0.03)
        bounds = [limits(int(path[k - 1]), k, 0.05) for k in moments]
        left += any(not low <= 0.03 <= high for low, high in bounds)
    assert left <= 300 * 0.05


@given(st.integers(0, 2000), st.integers(1, 2000))
def test_they_hold_the_estimate(bad, trials):
    bad = min(bad, trials)
    low, high = limits(bad, trials, 0.01)
    assert 0 <= low <= bad / trials <= high <= 1


def test_they_close_in_on_the_rate():
    wide, narrow = limits(10, 1000, 0.05), limits(1000, 100_000, 0.05)
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 5


@pytest.mark.parametrize("trials", [0, 0.0])
def test_without_trials_nothing_is_known(trials):
    assert limits(0, trials, 0.05) == (0.0, 1.0)


@pytest.mark.parametrize(("bad", "trials"), [(0, 50), (3, 200), (40, 1000), (999, 1000)])
@pytest.mark.parametrize("error", [0.05, 0.001])
def test_they_are_the_beta_binomial_mixtures(bad, trials, error):
    """The published formula, solved anew: Howard et al. (2021), equation 3.7, as ``confseq`` has it for a
    mixture over beta(1/2, 1/2). ``confseq`` itself builds only beside a compiler and Boost."""

    def excess(p: float) -> float:
        mixture = betaln(bad + 0.5, trials - bad + 0.5) - betaln(0.5, 0.5)
        return mixture - xlogy(bad, p) - xlog1py(trials - bad, -p) + log(error)

    low, high = limits(bad, trials, error)
    rate = bad / trials
    if bad:
        assert low == pytest.approx(brentq(excess, 1e-12, rate), abs=1e-9)
    if bad < trials:
        assert high == pytest.approx(brentq(excess, max(rate, 1e-12), 1 - 1e-12), abs=1e-9)
