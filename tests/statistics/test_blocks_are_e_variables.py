"""The largest expectation under each null hypothesis, by exact enumeration, is 1."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.statistics.blocks import (
    Block,
    closest_null,
    log_beyond,
    log_likelihood_ratio,
    log_within,
    log_worse,
    odds_shift,
)

SPLITS = [(1, 1), (1, 9), (3, 6), (5, 5), (6, 2), (2, 12)]
GRID = [i / 40 for i in range(41)]
SLACK = 1 + 1e-9


@pytest.mark.parametrize(("n", "m"), SPLITS)
@pytest.mark.parametrize(("base", "odds"), [(0.001, 500.0), (0.01, 5.0), (0.1, 2.0), (0.5, 1.15)])
def test_worse_never_exceeds_one_while_the_candidate_is_no_worse(expectation, n, m, base, odds):
    aim = odds_shift(base, odds)

    def log_e(f: int, g: int) -> float:
        return log_worse(Block(n, f, m, g), aim, base)

    largest = max(expectation(log_e, n, p_c, m, p_b) for p_b in GRID for p_c in GRID if p_c <= p_b)
    assert largest <= SLACK
    assert largest > 0.98


@pytest.mark.parametrize(("n", "m"), SPLITS)
@pytest.mark.parametrize(
    ("aim", "base", "ratio", "margin"),
    [
        (0.001, 0.001, 1.25, 0.04),
        (0.02, 0.01, 1.25, 0.002),
        (0.39, 0.5, 1.0, 0.01),
        (0.3, 0.5, 1.0, 0.5),
        (0.006, 0.01, 1.0, 0.02),
        (0.0001, 0.99, 1.0, 0.01),
    ],
)
def test_within_never_exceeds_one_while_the_candidate_is_beyond_the_margin(
    expectation, n, m, aim, base, ratio, margin
):
    def log_e(f: int, g: int) -> float:
        return log_within(Block(n, f, m, g), aim, base, ratio, margin)

    null = [(p_c, p_b) for p_b in GRID for p_c in GRID if p_c >= ratio * p_b + margin]
    assert max(expectation(log_e, n, p_c, m, p_b) for p_c, p_b in null) <= SLACK


@pytest.mark.parametrize(("n", "m"), SPLITS)
@pytest.mark.parametrize(("ratio", "margin"), [(1.25, 0.04), (1.25, 0.002), (1.0, 0.01)])
def test_within_wastes_little_at_the_null_point_that_it_names(expectation, n, m, ratio, margin):
    x = closest_null(n, m, 0.01, 0.01, ratio, margin)

    def log_e(f: int, g: int) -> float:
        return log_within(Block(n, f, m, g), 0.01, 0.01, ratio, margin)

    assert 0.98 < expectation(log_e, n, ratio * x + margin, m, x) <= SLACK


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.5])
@pytest.mark.parametrize("odds", [1.15, 2.0, 30.0])
def test_a_likelihood_ratio_is_one_at_the_limit_and_less_below(expectation, limit, odds):
    def log_e(f: int, _: int) -> float:
        return log_likelihood_ratio(12, f, odds_shift(limit, odds), limit)

    assert expectation(log_e, 12, limit, 0, 0.5) == pytest.approx(1)
    assert all(expectation(log_e, 12, limit * part, 0, 0.5) < 1 for part in (0, 0.3, 0.9))


@given(chances=st.lists(st.floats(0, 0.2), min_size=6, max_size=6))
def test_a_likelihood_ratio_stays_fair_when_single_chances_differ(chances):
    limit, aim = 0.1, 0.3
    slope = (aim - limit) / (limit * (1 - limit))
    product = 1.0
    for p in chances:
        product *= 1 + slope * (p - limit)
    if sum(chances) / len(chances) <= limit:
        assert product <= SLACK


@pytest.mark.parametrize("block", [Block(0, 0, 9, 3), Block(9, 3, 0, 0), Block(0, 0, 0, 0)])
def test_a_block_without_an_arm_says_nothing(block):
    assert log_worse(block, 0.5, 0.1) == 0
    assert log_within(block, 0.1, 0.1, 1.0, 0.1) == 0


def test_an_aim_beyond_the_margin_says_nothing():
    assert log_within(Block(50, 0, 50, 0), 0.2, 0.1, 1.0, 0.1) == 0


@given(
    n=st.integers(1, 500),
    m=st.integers(1, 50_000),
    base=st.floats(1e-6, 0.9),
    margin=st.floats(1e-4, 0.5),
    ratio=st.sampled_from([1.0, 1.25, 3.0]),
    bad=st.floats(0, 1),
)
def test_within_is_finite_whatever_the_split(n, m, base, margin, ratio, bad):
    f, g = round(n * bad), round(m * bad)
    assert abs(log_within(Block(n, f, m, g), base, base, ratio, margin)) < 1e9


def test_evidence_grows_as_theory_says():
    """A candidate without failures earns about the margin, less its aim, with each request."""
    gained = log_within(Block(1000, 0, 99_000, 0), 1e-6, 1e-6, 1.25, 0.004)
    assert gained == pytest.approx(-1000 * log(1 - 0.004), rel=0.01)


@pytest.mark.parametrize(("n", "m"), SPLITS)
@pytest.mark.parametrize(
    ("aim", "base", "ratio", "margin"),
    [
        (0.12, 0.1, 1.0, 0.01),
        (0.5, 0.1, 1.0, 0.02),
        (0.9, 0.05, 1.0, 0.1),
        (0.02, 0.001, 1.25, 0.002),
        (0.99, 0.9, 1.0, 0.05),
        (0.2, 0.1, 1.0, 0.0),
    ],
)
def test_beyond_never_exceeds_one_while_the_candidate_is_within_the_margin(
    expectation, n, m, aim, base, ratio, margin
):
    def log_e(f: int, g: int) -> float:
        return log_beyond(Block(n, f, m, g), aim, base, ratio, margin)

    null = [(p_c, p_b) for p_b in GRID for p_c in GRID if p_c <= ratio * p_b + margin]
    assert max(expectation(log_e, n, p_c, m, p_b) for p_c, p_b in null) <= SLACK


@pytest.mark.parametrize(("n", "m"), SPLITS)
@pytest.mark.parametrize(("aim", "ratio", "margin"), [(0.2, 1.0, 0.01), (0.15, 1.25, 0.002)])
def test_beyond_wastes_little_at_the_null_point_that_it_names(expectation, n, m, aim, ratio, margin):
    x = closest_null(n, m, aim, 0.1, ratio, margin)

    def log_e(f: int, g: int) -> float:
        return log_beyond(Block(n, f, m, g), aim, 0.1, ratio, margin)

    assert 0.97 < expectation(log_e, n, ratio * x + margin, m, x) <= SLACK


@given(values=st.lists(st.floats(0, 1), min_size=4, max_size=4), mean=st.floats(0.05, 0.9))
def test_a_sum_of_values_never_earns_more_than_the_bet_on_them(values, mean):
    """One answer of each arm: the counted factor against 1 + s(v - t), the bet that it bounds from below."""
    aim, base, margin = min(mean + 0.3, 0.99), mean, 0.01
    if aim <= base + margin:
        return
    ours, theirs = values[:2]
    x = closest_null(1, 1, aim, base, 1.0, margin)

    def of(f: float, g: float) -> float:
        return exp(log_beyond(Block(1, f, 1, g), aim, base, 1.0, margin))

    def bet(v: float, u: float) -> float:
        return sum(
            (v if f else 1 - v) * (u if g else 1 - u) * of(f, g) for f in (0, 1) for g in (0, 1)
        )  # bilinear in v and u, as the product of both bets is

    assert of(ours, theirs) <= bet(ours, theirs) * SLACK
    assert 0 < x < 1


def test_an_aim_within_the_margin_says_nothing_of_harm():
    assert log_beyond(Block(50, 9, 50, 0), 0.105, 0.1, 1.0, 0.01) == 0
    assert log_beyond(Block(0, 0, 50, 0), 0.5, 0.1, 1.0, 0.01) == 0


counts = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(
    lambda nm: st.tuples(st.just(nm[0]), st.integers(0, nm[0]), st.just(nm[1]), st.integers(0, nm[1]))
)


@given(st.lists(counts, min_size=2, max_size=6), st.randoms())
def test_the_order_of_ticks_does_not_matter(ticks, random):
    shuffled = random.sample(ticks, len(ticks))
    one, other = (sum(log_worse(Block(*tick), 0.3, 0.1) for tick in order) for order in (ticks, shuffled))
    assert one == pytest.approx(other)


@given(counts, st.integers(1, 5))
def test_ticks_of_one_split_merge_without_loss(tick, parts):
    """While the split stays the same, a tick's evidence is that of its parts together."""
    whole = Block(*(parts * count for count in tick))
    assert log_worse(whole, 0.3, 0.1) == pytest.approx(parts * log_worse(Block(*tick), 0.3, 0.1))


@given(st.integers(1, 40), st.data())
def test_equal_arms_give_no_evidence_that_one_is_worse(n, data):
    """Whichever is called the candidate."""
    f = data.draw(st.integers(0, n))
    assert log_worse(Block(n, f, n, f), 0.3, 0.1) <= 1e-9
