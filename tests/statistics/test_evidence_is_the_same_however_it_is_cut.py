"""Invariants: order within a block, names of the arms, and how ticks are merged earn and cost nothing."""

from __future__ import annotations

from math import isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.statistics.blocks import Block, log_beyond, log_within, log_worse

CHANCES = st.floats(0.001, 0.6)
SLACK = 1 + 1e-9


@st.composite
def ticks(draw: st.DrawFn) -> tuple[Block, Block]:
    """Two ticks of different size and outcome that were split alike."""
    n, m = draw(st.integers(1, 20)), draw(st.integers(1, 20))

    def tick(size: int) -> Block:
        f, g = draw(st.integers(0, n * size)), draw(st.integers(0, m * size))
        return Block(n * size, f, m * size, g)

    return tick(draw(st.integers(1, 9))), tick(draw(st.integers(1, 9)))


def merged(*blocks: Block) -> Block:
    return Block(
        sum(b.n for b in blocks), sum(b.f for b in blocks), sum(b.m for b in blocks), sum(b.g for b in blocks)
    )


def near(a: float, b: float) -> bool:
    return isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


@given(ticks(), CHANCES, st.floats(1.1, 50))
def test_of_ticks_that_were_split_alike(pair, base, odds):
    """Neither the order of the ticks nor their number matters: their evidence adds up to the merged one's."""
    one, other = pair
    aim = odds * base / (1 - base + odds * base)
    whole = log_worse(merged(one, other), aim, base)
    assert near(whole, log_worse(one, aim, base) + log_worse(other, aim, base))
    assert whole == log_worse(merged(other, one), aim, base)


@given(ticks(), st.floats(0.001, 0.3), st.floats(0, 0.1), st.floats(0.02, 0.3))
def test_of_ticks_within_and_beyond_a_margin(pair, base, margin, further):
    one, other = pair
    aim = base + margin + further
    parts = [log_beyond(block, aim, base, 1.0, margin) for block in (one, other)]
    assert near(log_beyond(merged(one, other), aim, base, 1.0, margin), sum(parts))
    parts = [log_within(block, base, base, 1.0, margin) for block in (one, other)]
    assert near(log_within(merged(one, other), base, base, 1.0, margin), sum(parts))


@given(st.integers(1, 40), st.integers(1, 40), CHANCES, st.floats(1.1, 50), st.data())
def test_when_the_arms_and_good_and_bad_change_names(n, m, base, odds, data):
    """That the candidate fails no more often says that stable succeeds no more often."""
    f, g = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    aim = odds * base / (1 - base + odds * base)
    renamed = log_worse(Block(m, m - g, n, n - f), 1 - base, 1 - aim)
    assert near(log_worse(Block(n, f, m, g), aim, base), renamed)


@given(st.integers(1, 60), st.data(), CHANCES, st.floats(1.1, 50))
def test_and_arms_that_did_the_same_earn_nothing(n, data, base, odds):
    f = data.draw(st.integers(0, n))
    aim = odds * base / (1 - base + odds * base)
    assert log_worse(Block(n, f, n, f), aim, base) <= 1e-9


@pytest.mark.parametrize(
    "chances", [((0.1, 0.1), (0.4, 0.4)), ((0.0, 0.3), (0.5, 0.5)), ((0.2, 0.2), (0.2, 0.9))]
)
def test_merging_ticks_never_breaks_the_bound(expectation, chances):
    """Each tick is fair, and so is the block of both, though the world moved between them."""
    (c1, b1), (c2, b2) = chances

    def first(f1: int, g1: int) -> float:
        def second(f2: int, g2: int) -> float:
            return log_worse(Block(4, f1 + f2, 8, g1 + g2), 0.4, 0.1)

        return log(expectation(second, 2, c2, 4, b2))

    assert expectation(first, 2, c1, 4, b1) <= SLACK
