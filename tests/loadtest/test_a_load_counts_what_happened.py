"""Processes of the generator against servers over real sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelserve._kit.ports import free_port
from modelserve.errors import InvalidInput, Unavailable
from modelserve.loadtest.crew import Progress, load
from modelserve.loadtest.report import Report


@pytest.fixture
def measured(stages: Any, plan: Any) -> Any:
    """``measured(answer, processes, **plan)``: the report, and the server that was asked."""

    def run(answer: Any, processes: int = 1, **changes: Any) -> tuple[Report, Any]:
        with stages.stage(answer) as server:
            made = plan(server.port, **changes)
            return Report(made, load(made, processes), "stage"), server

    return run


def test_a_closed_loop_counts_what_the_server_answered(measured: Any, stages: Any) -> None:
    good = stages.http(200, b"{}", "x-modelserve-revision: m-00001")
    report, server = measured(lambda _: good, warm_up=0)
    assert (report.errors, report.by_outcome) == (0, {"200": report.requests})
    in_flight_at_the_end = len(server.requests) - report.requests
    assert report.requests > 0
    assert 0 <= in_flight_at_the_end <= server.connections == 2
    assert report.by_revision["m-00001"]["requests"] == report.requests
    assert server.requests[0].endswith(b'{"text": "a"}')


@pytest.mark.parametrize("processes", [1, 3])
def test_a_constant_rate_sends_exactly_as_many_as_it_says(measured: Any, stages: Any, processes: int) -> None:
    report, server = measured(
        lambda _: stages.http(), processes, clients=6, rate=90, arrivals="constant", duration=1.0
    )
    assert report.requests == 90
    assert len(server.requests) == 99, "the warm-up of a tenth of a second is sent too"
    assert len(report.tally.busy) == processes


def test_samples_are_sent_in_turn(measured: Any, stages: Any) -> None:
    sent = tuple(f"POST /{name} HTTP/1.1\r\ncontent-length: 0\r\n\r\n".encode() for name in ("a", "b", "c"))
    _, server = measured(lambda _: stages.http(), clients=1, requests=sent)
    assert [request.split()[1] for request in server.requests[:4]] == [b"/a", b"/b", b"/c", b"/a"]


def test_errors_are_told_by_status_and_code(measured: Any, stages: Any) -> None:
    full = json.dumps({"error": "full", "code": "overloaded", "retryable": True}).encode()
    answers = [stages.http(), stages.http(503, full), stages.http(500, b"<html>")]
    report, _ = measured(lambda number: answers[number % 3], clients=1, rate=120, arrivals="constant")
    assert report.by_outcome == {"200": 20, "500": 20, "503 overloaded": 20}
    assert report.error_rate == pytest.approx(2 / 3)


def test_broken_connections_are_errors_and_are_opened_again(measured: Any, stages: Any) -> None:
    report, server = measured(lambda number: None if number % 2 else stages.http(), clients=1)
    assert set(report.by_outcome) == {"200", "reset"}
    assert server.connections > 2


def test_answers_in_every_spelling_are_understood(measured: Any, stages: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-ModelServe-Revision: r\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    capital = head + b"Content-Length: 2\r\n\r\n{}"
    closing = stages.http(200, b"{}", "connection: close", "x-modelserve-revision: r")
    answers = [chunked, capital, closing]
    report, _ = measured(lambda number: answers[number % 3], clients=1)
    assert report.by_outcome == {"200": report.requests}
    assert report.by_revision["r"]["requests"] == report.requests


def test_what_is_no_http_is_an_error(measured: Any) -> None:
    report, _ = measured(lambda _: b"220 smtp ready\r\n\r\n", clients=1)
    assert set(report.by_outcome) == {"bad_answer"}
    assert report.broken_limits(1.0, None) == ["nothing was answered, the limit is 1e+03 ms"]


@pytest.mark.parametrize("rate", [None, 40])
def test_requests_that_are_never_answered_run_out_of_time_and_count_as_slow(
    measured: Any, rate: float | None
) -> None:
    report, _ = measured(lambda _: b"", clients=1, rate=rate, arrivals="constant", timeout=0.3)
    assert set(report.by_outcome) == {"timeout"}
    assert report.waited.milliseconds()["p50"] >= 300
    assert report.requests == 20 if rate else report.requests >= 1


def test_nobody_there_is_told_at_once(plan: Any) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=str(port)):
        load(plan(port))


def test_a_server_that_goes_away_is_an_error_rate_and_no_crash(stages: Any, plan: Any) -> None:
    servers = [stages.Stage(lambda _: stages.http())]

    def told(progress: Progress) -> None:
        if progress.good.any() and servers:
            servers.pop().close()

    made = plan(servers[0].port, duration=2.0)
    report = Report(made, load(made, told=told), "stage")
    assert report.by_outcome.keys() >= {"200", "refused"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"clients": 0}, "clients"),
        ({"rate": -1}, "rate"),
        ({"duration": 0}, "duration"),
        ({"requests": ()}, "samples"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan: Any, changes: Any, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        plan(1, **changes)


def test_more_processes_than_clients_are_refused(plan: Any) -> None:
    with pytest.raises(InvalidInput, match="processes"):
        load(plan(1, clients=2), 3)
