"""The mean of bounded values lies within its limits at all times, as often as promised."""

import random
from math import log

import pytest

from modelserve.statistics import bounded
from modelserve.statistics.bounded import BETS, Sums, deviation, evidence, excludes, limits


def filled(values, low=0.0, high=1.0):
    sums = Sums(low, high)
    for value in values:
        sums.add(value)
    return sums


def test_nothing_is_known_before_the_first_value():
    assert limits(Sums(-2.0, 3.0), 0.05) == (-2.0, 3.0)
    assert Sums(0, 1).mean is None


@pytest.mark.parametrize("bet", BETS)
@pytest.mark.parametrize("guess", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("mean", [0.01, 0.3, 0.5, 0.99])
def test_each_step_is_fair(bet, guess, mean):
    """By enumeration: of a value that is 0 or 1, the expected factor is at most 1, upwards and downwards."""
    from math import exp

    cost = -log(1 - bet) - bet
    for sign in (1, -1):
        expected = sum(
            chance * exp(sign * bet * (x - mean) - cost * (x - guess) ** 2)
            for x, chance in ((0.0, 1 - mean), (1.0, mean))
        )
        assert expected <= 1 + 1e-12


def test_limits_are_where_the_evidence_reaches_its_bound():
    sums = filled([0.0, 1.0, 0.2, 0.4] * 100)
    low, high = limits(sums, 0.1)
    for inside, outside in ((low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)):
        assert not excludes(sums, inside, 0.1)
        assert excludes(sums, outside, 0.1)
    reach = deviation(sums.spread, 0.05)
    assert evidence(reach, sums.spread) == pytest.approx(log(20), abs=1e-6)


def test_units_do_not_matter():
    values = [random.Random(3).random() for _ in range(300)]
    low, high = limits(filled(values), 0.05)
    scaled = limits(filled([10 * value - 5 for value in values], -5.0, 5.0), 0.05)
    assert scaled == pytest.approx((10 * low - 5, 10 * high - 5))


def test_more_values_of_the_same_kind_mean_closer_limits():
    few, many = (limits(filled([0, 1] * n), 0.05) for n in (100, 10_000))
    assert many[1] - many[0] < (few[1] - few[0]) / 5


@pytest.mark.parametrize("draw", ["rate", "uniform", "skewed"])
def test_looking_after_every_value_excludes_the_truth_no_more_often_than_promised(draw):
    """200 runs of 500 looks at an error of 20 %: more than 56 misses have a chance of 0.3 %."""
    kinds = {
        "rate": (lambda r: float(r.random() < 0.2), 0.2),
        "uniform": (lambda r: r.random(), 0.5),
        "skewed": (lambda r: r.random() ** 9, 0.1),
    }
    value, mean = kinds[draw]
    missed = 0
    for run in range(200):
        rng, sums = random.Random(run), Sums(0.0, 1.0)
        for _ in range(500):
            sums.add(value(rng))
            if excludes(sums, mean, 0.2):
                missed += 1
                break
    assert missed <= 56
    assert bounded.BETS[0] == 0.5
