"""Arrivals are alike: in both arms, at every age, whatever the split; or they are not, and that is seen."""

import numpy as np

from modelserve.statistics.arrivals import LIMIT, Share, deviation


def shares(dice, rates, weights=(0.05, 0.5), cells=30):
    """Cells of a few ages; ``rates`` are labels to expect of all predictions by age and arm."""
    found = [Share() for _ in rates]
    for _ in range(cells):
        for level, (stable, candidate) in enumerate(rates):
            weight = dice.choice(weights)
            counts = dice.poisson(stable * (1 - weight)), dice.poisson(candidate * weight)
            found[level] = found[level].add(*counts, weight)
    return found


def test_equal_delays_are_found_equal_also_where_one_arm_gets_fewer_labels_in_all():
    dice = np.random.default_rng(1)
    for scale in (1.0, 0.5):
        rates = [(20, 20 * scale), (50, 50 * scale), (10, 10 * scale)]
        told = [deviation(shares(dice, rates)) for _ in range(400)]
        assert max(told) < LIMIT
        assert abs(np.mean(told)) < 0.3


def test_a_later_arm_is_found():
    dice = np.random.default_rng(2)
    assert deviation(shares(dice, [(60, 40), (20, 40)])) > LIMIT


def test_too_few_labels_say_nothing():
    assert deviation([Share().add(2, 2, 0.5), Share().add(0, 4, 0.5)]) == 0.0
    assert deviation([]) == 0.0
    assert deviation([Share().add(1000, 0, 0.5), Share().add(1000, 0, 0.5)]) == 0.0
