"""The cost model: what a run takes is learnt from the runs that were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.batching.calls import Call
from modelserve.batching.cost import GAIN, CostModel
from modelserve.batching.forming import partition

costs = st.lists(st.integers(64, 512), min_size=2, max_size=40)
"""Within a factor of 8 of each other, so that no run counts as an outlier."""


@given(costs, st.floats(1e-5, 1e-2), st.floats(1e-6, 1e-3))
def test_is_found_again_from_runs_that_keep_to_it(costs: list[int], fixed: float, per_cost: float) -> None:
    model = CostModel()
    for cost in costs:
        model.learn(cost, fixed + per_cost * cost)
    for cost in costs:
        assert model.seconds(cost) == pytest.approx(fixed + per_cost * cost, rel=1e-3)


@given(st.lists(st.tuples(st.integers(1, 512), st.floats(0, 10)), min_size=1, max_size=40))
def test_never_falls_with_the_cost_and_is_never_below_zero(runs: list[tuple[int, float]]) -> None:
    model = CostModel()
    for cost, seconds in runs:
        model.learn(cost, seconds)
    assert model.fixed >= 0
    assert model.per_cost >= 0


def test_forgets_what_was_long_ago() -> None:
    model = CostModel()
    for _ in range(50):
        model.learn(10, 1.0)
    for _ in range(400):
        model.learn(10, 0.1)
    assert model.seconds(10) == pytest.approx(0.1, rel=0.01)


def test_is_not_led_astray_by_one_run_that_the_machine_held_up() -> None:
    model = CostModel()
    for _ in range(50):
        model.learn(10, 0.01)
    model.learn(10, 60.0)
    assert model.seconds(10) < 0.02


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 300)), min_size=1, max_size=30), st.integers(1, 8)
)
def test_partitions_lose_nothing_and_never_cost_more_than_runs_apart(
    items: list[tuple[int, int]], most: int
) -> None:
    model = CostModel(fixed=0.002, per_cost=0.0001)
    made = [Call(0.0).add("a", rows, number, size) for number, (rows, size) in enumerate(items)]
    batches = list(partition(made, most, model))
    assert sorted(item.payload for batch in batches for item in batch) == list(range(len(items)))
    for batch in batches:
        rows = sum(item.rows for item in batch)
        together = model.seconds(rows * max(item.size for item in batch))
        apart = sum(model.seconds((1 + GAIN) * item.rows * item.size) for item in batch)
        assert together <= apart + 1e-9
        assert len(batch) == 1 or rows <= most
