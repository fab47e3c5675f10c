"""Pairs are bets that a null hypothesis can't win: by exact enumeration, and on simulated streams."""

from __future__ import annotations

from itertools import product
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.rollouts import LabelledPairs
from modelserve.statistics.pairs import Bets, Discordance, add_within, log_bet, log_bets

GRID = [i / 20 for i in range(21)]
SLACK = 1 + 1e-9
COUNTS = st.integers(0, 50)


@pytest.mark.parametrize("discordant", [1, 3, 6])
def test_a_new_version_that_is_no_worse_wins_nothing(discordant):
    """Given that a pair is discordant it goes against the new version with chance q <= 1/2."""

    def expected(q: float) -> float:
        ends = product((1, 0), repeat=discordant)
        return sum(
            q ** sum(end) * (1 - q) ** (discordant - sum(end))
            * exp(Discordance().add(LabelledPairs(0, sum(end), discordant - sum(end))).log)
            for end in ends
        )  # fmt: skip

    largest = max(expected(q) for q in GRID if q <= 0.5)
    assert largest == pytest.approx(1)
    assert expected(0.5) == pytest.approx(1)


@pytest.mark.parametrize("margin", [0.0, 0.02, 0.2])
def test_a_new_version_within_its_margin_wins_nothing(margin):
    """Also where answers are right in parts: x is how much more of stable's answer was right."""
    ways = [LabelledPairs.of(0.0, 1.0), LabelledPairs.of(1.0, 0.0), LabelledPairs.of(0.5, 0.25)]
    gains = [exp(Discordance().add(pair, margin).log) for pair in ways]
    xs = [pair.stable_right - pair.candidate_right for pair in ways]
    assert xs == [1.0, -1.0, -0.25]
    chances = [(a, b, 1 - a - b) for a in GRID for b in GRID if a + b <= 1]
    null = [c for c in chances if np.dot(c, xs) <= margin + 1e-12]
    assert max(np.dot(c, gains) for c in null) <= SLACK


@pytest.mark.parametrize("limit", [-0.1, -0.02, 0.0, 0.05, 0.4])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_mean_within_the_limit_wins_nothing_with_stakes_from_the_past(limit, steps):
    def expected(up: float, down: float) -> float:
        chances = {1: up, -1: down, 0: 1 - up - down}
        return sum(
            np.prod([chances[x] for x in path]) * exp(_walk(path, limit))
            for path in product(chances, repeat=steps)
        )

    null = [(u, d) for u in GRID for d in GRID if u + d <= 1 and u - d <= limit + 1e-12]
    assert max(expected(*chances) for chances in null) <= SLACK


def _walk(path: tuple[int, ...], limit: float) -> float:
    bets = Bets()
    for x in path:
        bets = bets.add(x == 1, x == 0, x == -1, limit)
    return bets.log


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.5, 0.999])
def test_every_stake_of_the_mixture_is_fair_at_the_limit(limit):
    for up in GRID:
        down = up - limit
        if 0 <= down <= 1 - up:
            ends = zip((up, 1 - up - down, down), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), strict=True)
            sums = np.sum([p * np.exp(log_bets(*end, limit)) for p, end in ends], axis=0)
            assert sums == pytest.approx(1)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_order_within_a_block_and_its_cut_do_not_matter(a, b, c, d, e, f):
    apart = Discordance().add(LabelledPairs(a, b, c, d)).add(LabelledPairs(0, e, f))
    assert Discordance().add(LabelledPairs(a + d, b + e, c + f)).log == pytest.approx(apart.log, abs=1e-9)
    together = log_bet(a + d, b + e, c + f, 0.1, 0.5)
    assert log_bet(a, b, c, 0.1, 0.5) + log_bet(d, e, f, 0.1, 0.5) == pytest.approx(together, abs=1e-9)


@given(COUNTS, COUNTS, COUNTS, st.floats(-0.9, 0.9))
def test_no_block_can_ruin_a_bet_for_ever(up, same, down, limit):
    bets = Bets().add(up, same, down, limit).add(down, same, up, limit)
    assert np.isfinite(bets.log)
    assert 0 <= bets.stake(limit) < 1 / (1 + limit)


def test_nothing_seen_is_no_evidence():
    assert Discordance().add(LabelledPairs(7, 0, 0, 3)).log == pytest.approx(0)
    assert Bets().add(0, 0, 0, 0.1) == Bets()


def _ends(rng: np.random.Generator, chances: tuple[float, float], ticks: int) -> list[list[int]]:
    return rng.multinomial(10, (*chances, 1 - sum(chances)), size=ticks).tolist()


def _pairs_until_worse(rng: np.random.Generator, chances: tuple[float, float], ticks: int) -> float:
    known = Discordance()
    for number, (old, new, alike) in enumerate(_ends(rng, chances, ticks), 1):
        known = known.add(LabelledPairs(alike, old, new))
        if known.log >= -log(0.01):
            return 10 * number
    return np.inf


def test_two_points_of_accuracy_are_found_in_1600_pairs():
    rng = np.random.default_rng(11)
    assert np.median([_pairs_until_worse(rng, (0.04, 0.02), 1000) for _ in range(150)]) <= 1600


def test_an_equal_version_is_rarely_accused():
    rng = np.random.default_rng(12)
    accused = [np.isfinite(_pairs_until_worse(rng, (0.03, 0.03), 400)) for _ in range(200)]
    assert np.mean(accused) <= 0.025


def test_an_equal_version_is_shown_to_be_within_the_margin_and_one_at_it_rarely():
    rng = np.random.default_rng(13)

    def shown(chances: tuple[float, float]) -> bool:
        bets = Bets()
        for old, new, alike in _ends(rng, chances, 600):
            bets = add_within(bets, LabelledPairs(alike, old, new), 0.02)
            if bets.log >= -log(0.05):
                return True
        return False

    assert np.mean([shown((0.03, 0.03)) for _ in range(60)]) > 0.95
    assert np.mean([shown((0.04, 0.02)) for _ in range(120)]) <= 0.08
