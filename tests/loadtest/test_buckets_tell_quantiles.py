"""Histograms of times."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.loadtest import buckets
from modelserve.loadtest.tallies import BROKEN, Outcome, Tally, Times

SECONDS = st.floats(2e-6, 4000, allow_nan=False)


@given(st.lists(SECONDS, min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_quantile_is_never_too_low_and_hardly_too_high(values: list[float], q: float) -> None:
    exact = float(np.quantile(values, q, method="inverted_cdf"))
    found = buckets.quantile(buckets.counted(values), q, max(values))
    assert found is not None
    assert exact * (1 - 1e-9) <= found <= exact * 1.011


def test_there_is_no_quantile_of_nothing() -> None:
    assert buckets.quantile(buckets.empty(), 0.5, 0.0) is None
    assert set(Times().milliseconds().values()) == {None}


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e9])
def test_what_is_off_the_scale_is_in_the_last_bucket_on_its_side(seconds: float) -> None:
    assert buckets.counted([seconds]).sum() == 1


@given(st.lists(SECONDS, max_size=50), st.lists(SECONDS, max_size=50))
def test_tallies_of_two_processes_add_up(mine: list[float], others: list[float]) -> None:
    total, together = Tally(), Tally()
    for values in (mine, others):
        part = Tally(busy=[0.5])
        for value in values:
            for tally in (part, together):
                tally.cell(Outcome(200, "r")).waited.add(value)
        part.cell(BROKEN).within += 1
        total.merge(json.loads(json.dumps(part.as_json())))
    assert (total.busy, total.cell(BROKEN).within) == ([0.5, 0.5], 2)
    both = [tally.cell(Outcome(200, "r")) for tally in (total, together)]
    for cell in both:
        cell.waited.fold()
    assert both[0].count == both[1].count == len(mine) + len(others)
    # Sums in another order may be rounded the other way at the last digit that is told.
    assert both[0].waited.milliseconds() == pytest.approx(
        both[1].waited.milliseconds(), abs=0.0011, nan_ok=True
    )
