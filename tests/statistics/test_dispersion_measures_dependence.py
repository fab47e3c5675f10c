from __future__ import annotations

from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserve.statistics.blocks import Block, log_worse, odds_shift
from modelserve.statistics.dispersion import Dispersion, carried_by_time
from modelserve.statistics.wealth import Wealth

ODDS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 500.0)


def _run(seed: int, ticks: int, n: int, m: int, base, candidate, group: int = 1) -> Dispersion:
    rng, noise = np.random.default_rng(seed), Dispersion()
    for tick in range(ticks):
        p_b, p_c = base(tick), candidate(tick)
        f = min(n, group * int(rng.binomial(n, p_c / group)))
        g = min(m, group * int(rng.binomial(m, p_b / group)))
        noise = noise.see(Block(n, f, m, g))
    return noise


def test_independent_answers_have_index_one():
    assert _run(1, 400, 50, 50, lambda _: 0.1, lambda _: 0.1).index() == 1.0


def test_failures_in_fives_have_index_five():
    noise = _run(2, 400, 200, 200, lambda _: 0.1, lambda _: 0.1, group=5)
    assert noise.index() == pytest.approx(5, rel=0.25)


def test_what_hits_both_arms_alike_cancels():
    wave = lambda tick: 0.02 if tick // 10 % 2 else 0.18  # noqa: E731 - a shape, used twice
    assert _run(3, 400, 100, 100, wave, wave).index() == 1.0


def test_a_constant_difference_between_the_arms_is_not_dependence():
    assert _run(4, 400, 100, 100, lambda _: 0.1, lambda _: 0.4).index() == 1.0


def test_a_candidate_cannot_hide_in_its_own_noise():
    """A candidate in bursts beside a quiet stable arm is not tempered: the lesser measure counts."""
    noise = _run(5, 400, 100, 100, lambda _: 0.1, lambda tick: 0.9 if tick % 7 == 0 else 0.0)
    assert noise.index() == 1.0


def test_before_any_contrast_the_stable_arm_speaks_for_both():
    rng, noise = np.random.default_rng(6), Dispersion()
    for _ in range(400):
        noise = noise.see(Block(0, 0, 200, 5 * int(rng.binomial(200, 0.02))))
    alone = noise.index()
    assert alone == pytest.approx(5, rel=0.25)
    assert noise.index(carried=0.2) == pytest.approx(1 + 0.2 * (alone - 1))


@pytest.mark.parametrize(("n", "m", "carried"), [(10, 90, 0.2), (50, 50, 1.0), (90, 10, 1.0), (0, 0, 1.0)])
def test_what_lasts_a_while_is_carried_by_the_share_of_traffic(n, m, carried):
    assert carried_by_time(Block(n, 0, m, 0)) == pytest.approx(carried)


def test_an_outage_is_soon_no_longer_taken_for_dependence():
    rng, noise = np.random.default_rng(9), Dispersion()
    for tick in range(300):
        chance = 0.3 if 100 <= tick < 130 else 0.001
        noise = noise.see(Block(1, int(rng.random() < chance), 99, int(rng.binomial(99, chance))))
    assert noise.index() < 2.5


def test_failures_of_one_look_count_as_one_group_until_stable_has_shown_how_they_come():
    block, index = Dispersion().grouped(Block(10, 5, 990, 1))
    assert (block, index) == (Block(10, 1.4, 990, 1), 1.0)


@pytest.mark.parametrize("f", [0, 0.5, 1])
def test_up_to_one_failure_counts_whole(f):
    assert Dispersion().grouped(Block(10, f, 990, 1)) == (Block(10, f, 990, 1), 1.0)


def test_failures_that_come_one_by_one_soon_count_whole():
    noise = _run(7, 300, 50, 950, lambda _: 0.002, lambda _: 0.002)
    assert noise.grouped(Block(50, 4, 950, 2)) == (Block(50, 4, 950, 2), 1.0)


def test_groups_beyond_doubt_divide_the_evidence():
    noise = _run(8, 300, 50, 950, lambda _: 0.01, lambda _: 0.01, group=5)
    block, index = noise.grouped(Block(50, 5, 950, 10))
    assert block == Block(50, 5, 950, 10)
    assert index == pytest.approx(5, rel=0.35)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 5), m=st.integers(1, 9), size=st.integers(1, 6), begin=st.floats(0, 0.3))
def test_counting_a_look_once_is_fair_for_groups_of_any_size(n, m, size, begin):
    """Exact: groups begin with the same chance in both arms; a look of the candidate's counts once."""
    aim, base = 0.4, 0.05

    def chance(k: int, trials: int) -> float:
        return comb(trials, k) * begin**k * (1 - begin) ** (trials - k)

    mean = sum(
        chance(k, n) * chance(j, m) * exp(log_worse(Block(n, min(k, 1), m, min(j * size, m)), aim, base))
        for k in range(n + 1)
        for j in range(m + 1)
    )
    assert mean <= 1 + 1e-9


@pytest.mark.parametrize("base", [0.001, 0.01])
def test_bursts_of_five_rarely_look_like_harm(base):
    """Of 60 rollouts' first minutes at 1000 requests/s and weight 1 %, few reach 100; uncorrected many do."""
    rng, wrong = np.random.default_rng(9), {"grouped": 0, "plain": 0}
    for _ in range(60):
        noise, wealth = Dispersion(), dict.fromkeys(wrong, Wealth.begin(len(ODDS)))
        peak = dict.fromkeys(wrong, 0.0)
        for _ in range(60):
            f, g = (min(n, 5 * int(rng.binomial(n, base / 5))) for n in (10, 990))
            block = Block(10, f, 990, g)
            for name, (counted, index) in {"grouped": noise.grouped(block), "plain": (block, 1.0)}.items():
                factors = [log_worse(counted, odds_shift(base, odds), base) / index for odds in ODDS]
                wealth[name] = wealth[name].grow(factors)
                peak[name] = max(peak[name], wealth[name].log)
            noise = noise.see(block)
        for name in wrong:
            wrong[name] += peak[name] >= log(100)
    assert wrong["grouped"] <= 3
    assert wrong["plain"] >= 5
