import random
from math import inf

import pytest

from modelserve.domain.participants import Census
from modelserve.experiments.balance import balance, parse_weights

HALVES = "a=5000,b=5000"


def test_a_fair_split_passes():
    found = balance(Census(((HALVES, "a", 5060), (HALVES, "b", 4940))), ["a", "b"])
    assert found.is_fair
    assert found.observed == {"a": 5060, "b": 4940}
    assert found.expected == {"a": 5000.0, "b": 5000.0}


def test_a_lost_tenth_of_one_arm_is_seen():
    assert not balance(Census(((HALVES, "a", 5000), (HALVES, "b", 4500))), ["a", "b"]).is_fair


def test_counts_under_other_weights_are_held_against_those():
    counts = (
        (HALVES, "a", 1000),
        (HALVES, "b", 1000),
        ("a=1000,b=9000", "a", 100),
        ("a=1000,b=9000", "b", 900),
    )
    found = balance(Census(counts), ["a", "b"])
    assert found.is_fair
    assert found.expected == pytest.approx({"a": 1100, "b": 1900})
    assert not balance(Census((*counts[:3], ("a=1000,b=9000", "b", 250))), ["a", "b"]).is_fair


def test_an_arm_without_a_share_has_no_participants():
    assert balance(Census((("a=10000", "b", 1),)), ["a", "b"]).evidence == inf


def test_nobody_is_no_evidence():
    assert balance(Census(), ["a", "b"]).evidence == pytest.approx(0.0)


def test_looking_all_the_time_calls_few_fair_splits_unfair():
    """300 fair splits, looked at 30 times each: more than 3 alarms at 1 in 1000 has a chance below 0.1 %."""
    alarms = 0
    for run in range(300):
        rng, counts = random.Random(run), {"a": 0, "b": 0, "c": 0}
        for _ in range(30):
            for arm in rng.choices("abc", (5, 3, 2), k=60):
                counts[arm] += 1
            census = Census(tuple(("a=5000,b=3000,c=2000", arm, n) for arm, n in counts.items()))
            if not balance(census, "abc").is_fair:
                alarms += 1
                break
    assert alarms <= 3


def test_weights_are_read_back():
    assert parse_weights("a=2500,b=7500") == {"a": 0.25, "b": 0.75}
    for text in ("", "a", "a=x", "a=0"):
        with pytest.raises(ValueError, match=r"no weights|invalid literal"):
            parse_weights(text)
