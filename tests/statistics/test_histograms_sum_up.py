from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.statistics.histograms import Tails, remember

histograms = st.lists(st.integers(0, 50), min_size=1, max_size=30)


@given(histograms, st.integers(0, 40))
def test_a_tail_is_the_sum_from_its_bucket(counts, bucket):
    assert Tails(counts).beyond(bucket) == sum(counts[bucket:])


@given(histograms, st.floats(0.01, 1))
def test_a_quantile_lies_in_the_first_bucket_that_reaches_it(counts, quantile):
    bucket, wanted = Tails(counts).bucket_of(quantile), quantile * sum(counts)
    if not any(counts):
        assert bucket == -1
        return
    assert sum(counts[: bucket + 1]) >= wanted
    assert bucket == 0 or sum(counts[:bucket]) < wanted


def test_an_empty_histogram_has_no_quantile():
    assert Tails(()).bucket_of(0.5) == -1


@given(st.lists(histograms.filter(lambda c: len(c) == 5) | st.just([1, 2, 3, 4, 5]), min_size=1, max_size=9))
def test_memory_is_bounded_and_the_newest_is_whole(batches):
    held: tuple[float, ...] = ()
    for batch in batches:
        held = remember(held, batch, 100.0)
        assert sum(held) <= max(100.0, sum(batch)) + 1e-6
        assert all(a >= b for a, b in zip(held, batch, strict=True))


def test_what_fits_is_added_up():
    assert remember((1.0, 2.0), (3, 4), 100.0) == pytest.approx((4, 6))
