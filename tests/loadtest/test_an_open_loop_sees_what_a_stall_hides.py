"""Coordinated omission: a server that stops for a known time must show in the percentiles."""

from __future__ import annotations

from typing import Any

import pytest

from modelserve.loadtest import buckets
from modelserve.loadtest.crew import load
from modelserve.loadtest.report import Report
from modelserve.loadtest.tallies import Times

STALL, RATE, SECONDS = 0.5, 200.0, 2.0
LONG = 0.4
MOST = int(SECONDS / LONG) + 1
"""How many answers that took long fit one after the other into the time, however busy the machine is."""


def longer(times: Times, seconds: float) -> int:
    return sum(
        count for bucket, count in buckets.sparse(times.counts).items() if buckets.bound(bucket) > seconds
    )


@pytest.fixture(scope="module")
def stalled(stages: Any) -> Any:
    """A report on a server that stopped for half a second, asked 200 times a second over one connection."""

    def make(plan: Any, **changes: Any) -> Report:
        with stages.stage(stages.stalling(at=100, seconds=STALL)) as server:
            made = plan(server.port, clients=1, duration=SECONDS, **changes)
            return Report(made, load(made), "stage")

    return make


def test_everybody_who_waited_is_in_the_percentiles(stalled: Any, plan: Any) -> None:
    """Requests due during the stall waited for its rest: evenly from all of it down to nothing. They are a
    quarter of all 400, so that 10 % waited longer than 0.3 s and 1 % longer than 0.48 s."""
    report = stalled(plan, rate=RATE, arrivals="constant")
    assert report.requests == RATE * SECONDS
    found = report.waited.milliseconds()
    assert found["p90"] >= 290
    assert found["p99"] >= 470
    assert found["max"] >= 490
    assert longer(report.waited, LONG) >= 0.1 * RATE - 1 > MOST


def test_counted_from_the_sending_only_one_request_shows_it(stalled: Any, plan: Any) -> None:
    report = stalled(plan, rate=RATE, arrivals="constant")
    assert 1 <= longer(report.served, LONG) <= MOST, "and not all of those that were due"
    assert report.as_json()["served_ms"]["p90"] < report.as_json()["latency_ms"]["p90"]


def test_a_closed_loop_does_not_see_it_and_says_which_loop_it_was(stalled: Any, plan: Any) -> None:
    report = stalled(plan)
    assert longer(report.waited, LONG) <= MOST
    assert (report.as_json()["loop"], report.as_json()["served_ms"]) == ("closed", None)


def test_requests_that_found_no_connection_are_told(stalled: Any, plan: Any) -> None:
    report = stalled(plan, rate=RATE, arrivals="constant")
    assert report.tally.queued >= 90
    assert any("--clients" in warning for warning in report.warnings)
