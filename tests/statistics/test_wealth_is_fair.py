from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.statistics.wealth import Wealth, log_sum

factors = st.lists(st.tuples(st.floats(-3, 3), st.booleans()), max_size=30)


@given(factors)
def test_one_number_holds_the_sum_over_all_starts(path):
    """The recursion equals sum_j 1/(j(j+1)) E^(j), computed start by start."""
    wealth, starts = Wealth.begin(), [0]
    for k, (factor, restart) in enumerate(path):
        wealth = wealth.grow((factor,))
        if restart:
            wealth = wealth.restart()
            starts.append(k + 1)
    logs = [factor for factor, _ in path]
    parts = [exp(sum(logs[s:])) / (j * (j + 1)) for j, s in enumerate(starts, 1)]
    assert wealth.log == pytest.approx(log(sum(parts) + 1 / (len(starts) + 1)), abs=1e-9)


@given(st.integers(1, 8), st.floats(0.05, 0.95), st.integers(0, 50))
def test_starting_afresh_neither_makes_nor_loses_wealth(alternatives, first, restarts):
    wealth = Wealth.begin(alternatives, first)
    for _ in range(restarts):
        wealth = wealth.restart()
    assert wealth.log == pytest.approx(0, abs=1e-9)


@given(st.floats(-5, 3000), st.floats(0.01, 10))
def test_wealth_is_given_away_down_to_a_bound_and_never_made(gained, bound):
    before = Wealth.begin(3).grow((gained, gained / 2, -1.0))
    after = before.at_most(bound)
    assert after.log == pytest.approx(min(before.log, bound), abs=1e-6)
    assert after.reserve == before.reserve


def test_it_crosses_its_bound_no_more_often_than_it_promises():
    """Fair coin bets with restarts: at most 5 % ever reach 20."""
    rng = np.random.default_rng(7)
    crossed = 0
    for _ in range(400):
        wealth, reached = Wealth.begin(2), False
        for k, up in enumerate(rng.random(200) < 0.5):
            wealth = wealth.grow((log(1.3 if up else 0.7), log(0.8 if up else 1.2)))
            wealth = wealth.restart() if k % 50 == 49 else wealth
            reached = reached or wealth.log >= log(20)
        crossed += reached
    assert crossed <= 400 * 0.05


def test_a_bad_past_is_overcome_by_a_later_start():
    wealth = Wealth.begin().grow((-5_000.0,)).restart().grow((8.0,))
    assert wealth.log > 5


def test_a_long_life_stays_finite():
    wealth = Wealth.begin()
    for _ in range(5):
        wealth = wealth.grow((-9e5,)).restart()
    assert -10 < wealth.log <= 0


@given(st.floats(-700, 700), st.floats(-700, 700))
def test_log_sum_is_the_logarithm_of_a_sum(a, b):
    assert log_sum(a, b) == pytest.approx(np.logaddexp(a, b), abs=1e-9)
