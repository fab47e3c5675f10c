import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.experiments.bandit import raised, thompson

TOLD = {"a": (50.0, 500), "b": (90.0, 500), "c": (55.0, 500)}


def test_gives_more_to_what_seems_better():
    weights = thompson(TOLD, 0.05, up=True, seed="x")
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["b"] > 0.8
    assert min(weights.values()) >= 0.05 - 1e-9


def test_turns_around_where_less_is_better():
    weights = thompson(TOLD, 0.05, up=False, seed="x")
    assert weights["b"] == pytest.approx(0.05)
    assert weights["a"] > weights["c"]


def test_draws_the_same_again():
    assert thompson(TOLD, 0.05, up=True, seed="x") == thompson(TOLD, 0.05, up=True, seed="x")


def test_is_even_before_the_first_outcome():
    weights = thompson({"a": (0.0, 0), "b": (0.0, 0)}, 0.05, up=True, seed="x")
    assert weights["a"] == pytest.approx(0.5, abs=0.05)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8).filter(any), st.floats(0.001, 0.12))
def test_keeps_every_share_above_the_least(parts, least):
    total = sum(parts)
    found = raised({str(i): part / total for i, part in enumerate(parts)}, least)
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= least - 1e-9
