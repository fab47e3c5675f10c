from __future__ import annotations

from math import log

import pytest

from modelserve.judge.words import count, milliseconds, percent, times


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.1213, "12.1 %"), (0.002, "0.2 %"), (0.00043, "0.043 %"), (1, "100 %"), (0.099, "9.9 %")],
)
def test_shares(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "less than 0.01"),
        (0.31, "0.31"),
        (7.42, "7.4"),
        (99.9999, "100"),
        (100, "100"),
        (4123, "4,100"),
        (1e12, "more than a billion"),
    ],
)
def test_evidence(value, text):
    assert times(log(value)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00084, "0.84 ms"), (0.0042, "4.2 ms"), (0.0117, "12 ms"), (1.24, "1,240 ms")]
)
def test_durations(seconds, text):
    assert milliseconds(seconds) == text


def test_counts():
    assert (count(1, "pair"), count(1200, "pair")) == ("1 pair", "1,200 pairs")
