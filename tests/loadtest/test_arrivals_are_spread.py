"""Due times, without a clock."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest

from modelserve.loadtest.arrivals import constant, due, poisson


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert list(islice(constant(4, 0.0), 4)) == [0.0, 0.25, 0.5, 0.75]


def test_parts_of_a_constant_rate_fill_each_others_gaps(plan: Any) -> None:
    parts = plan(1, clients=3, rate=30.0, arrivals="constant").split(3)
    together = sorted(time for part in parts for time in islice(due(part), 10))
    assert together == pytest.approx([(number + 0.5) / 30 for number in range(30)])


def test_poisson_arrivals_have_the_rate_and_the_spread_of_independent_people() -> None:
    gaps = np.diff(list(islice(poisson(100.0, random.Random(1)), 20_000)))
    assert gaps.mean() == pytest.approx(0.01, rel=0.05)
    assert gaps.std() == pytest.approx(0.01, rel=0.05), "an exponential's deviation is its mean"


def test_parts_of_a_poisson_rate_differ_and_repeat_with_their_seed(plan: Any) -> None:
    first, second = plan(1, rate=10.0, seed=7).split(2)
    assert list(islice(due(first), 5)) != list(islice(due(second), 5))
    assert list(islice(due(first), 5)) == list(islice(due(first), 5))


def test_the_parts_of_a_plan_add_up_to_it(plan: Any) -> None:
    parts = plan(1, clients=7, rate=10.0).split(3)
    assert sorted(part.clients for part in parts) == [2, 2, 3]
    assert sum(part.rate for part in parts) == pytest.approx(10.0)


def test_a_plan_survives_its_journey_to_a_process(plan: Any) -> None:
    made = plan(1, requests=(b"\x00\xff", b"b"), rate=3.0)
    assert type(made).from_json(made.as_json()) == made
