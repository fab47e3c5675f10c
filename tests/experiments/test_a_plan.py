import random

import pytest

from modelserve.errors import InvalidInput
from modelserve.experiments.matching import Match
from modelserve.experiments.planning import plan
from modelserve.statistics.bounded import limits


def test_a_smaller_lift_and_more_arms_need_more():
    assert plan(0.1, 0.1).per_arm > 3 * plan(0.1, 0.2).per_arm
    assert plan(0.1, 0.1, arms=4).per_arm > plan(0.1, 0.1).per_arm
    assert plan(0.1, 0.1, power=0.9).per_arm > plan(0.1, 0.1).per_arm


def test_looking_at_any_time_has_its_price():
    found = plan(0.1, 0.1)
    assert 2 < found.per_arm / found.once < 3
    assert found.once == 14749, "as every calculator of a two-sided test of two rates says"


def test_a_margin_is_planned_for_too():
    found = plan(0.1, 0.5, margin=0.05)
    assert found.equivalence < plan(0.1, 0.5, margin=0.02).equivalence


def test_a_baseline_that_is_no_rate_is_refused():
    for baseline, lift in ((0.0, 0.1), (1.0, 0.1), (0.5, 0.0), (0.5, 1.1), (0.5, -1.1)):
        with pytest.raises(InvalidInput):
            plan(baseline, lift)
    with pytest.raises(InvalidInput, match="look for a larger difference"):
        plan(0.5, 1e-9)


def test_the_power_is_what_was_asked_for():
    """120 simulated experiments of the planned size, looked at every 20 pairs; 4 standard errors are 0.15."""
    needed = plan(0.3, 0.4, power=0.8).per_arm
    found = sum(decides(random.Random(run), needed) for run in range(120)) / 120
    assert 0.8 - 0.15 <= found <= 0.97


def decides(rng, needed):
    match = Match(0.0, 1.0)
    for number in range(1, needed + 1):
        match.add(0, float(rng.random() < 0.42))
        match.add(1, float(rng.random() < 0.3))
        if (number % 20 == 0 or number == needed) and limits(match.differences, 0.05)[0] > 0:
            return True
    return False
