"""Retries, their budget and deadlines, against a server over real sockets that misbehaves."""

from __future__ import annotations

import time
from typing import Any

import pytest

from modelserve._kit.ports import free_port
from modelserve.client import BadAnswer, Retries
from modelserve.errors import (
    ClientFault,
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    Overloaded,
    ServerFault,
    Unavailable,
)

QUICK = Retries(first_delay=0.001)


@pytest.fixture
def ask(connect: Any, rows: Any) -> Any:
    """``ask(url, **options)``: one infer call of a client that knows how the server speaks."""

    def call(url: str, client: Any = None, **options: Any) -> Any:
        made = client or connect(url, retries=QUICK, binary=False)
        return made.infer("m", rows, **options)

    return call


@pytest.mark.parametrize("trouble", ["reset", "hang_up"])
def test_a_connection_that_breaks_before_the_answer_costs_a_retry(
    ask: Any, stub: Any, stubs: Any, trouble: str
) -> None:
    server = stub(getattr(stubs, trouble), stubs.answer())
    assert ask(server.url).attempts == 2
    assert [seen.headers["x-request-id"] for seen in server.seen] == [
        server.seen[0].headers["x-request-id"]
    ] * 2


def test_a_refused_connection_is_tried_again_and_then_told(connect: Any, rows: Any) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=str(port)):
        connect(f"http://127.0.0.1:{port}", retries=QUICK).infer("m", rows)
    assert connect(f"http://127.0.0.1:{port}").live() is False
    assert connect(f"http://127.0.0.1:{port}").ready("m") is False


def test_what_the_server_calls_retryable_is_tried_again(ask: Any, stub: Any, stubs: Any) -> None:
    server = stub(
        stubs.fault(503, "overloaded", True), stubs.fault(504, "deadline_exceeded", True), stubs.answer()
    )
    assert ask(server.url).attempts == 3


def test_the_last_error_is_raised_when_the_tries_are_over(ask: Any, stub: Any, stubs: Any) -> None:
    server = stub(stubs.fault(503, "overloaded", True))
    with pytest.raises(Overloaded, match="this is overloaded"):
        ask(server.url)
    assert len(server.seen) == QUICK.attempts


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, "model_failed", ModelFailed),
        (400, "invalid_input", InvalidInput),
        (418, "teapot", ClientFault),
        (599, "novel", ServerFault),
    ],
)
def test_what_the_server_calls_final_is_not_tried_again(
    ask: Any, stub: Any, stubs: Any, status: int, code: str, kind: Any
) -> None:
    server = stub(stubs.fault(status, code, False))
    with pytest.raises(kind) as told:
        ask(server.url)
    assert (told.value.code, told.value.status, len(server.seen)) == (code, status, 1)


@pytest.mark.parametrize("trouble", ["garbage", "broken_off"])
def test_an_answer_that_is_none_is_told_as_such(ask: Any, stub: Any, stubs: Any, trouble: str) -> None:
    server = stub(getattr(stubs, trouble))
    with pytest.raises(BadAnswer):
        ask(server.url)
    assert len(server.seen) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"outputs": [{}]}', b'{"outputs": 1}'])
def test_a_good_status_with_nonsense_is_a_bad_answer(ask: Any, stub: Any, stubs: Any, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        ask(stub(stubs.answer(200, body)).url)


def test_a_page_of_some_proxy_becomes_an_error_with_its_beginning(ask: Any, stub: Any, stubs: Any) -> None:
    with pytest.raises(ServerFault, match="<html>") as told:
        ask(stub(stubs.answer(500, b"<html>")).url)
    assert told.value.status == 500


def test_retry_after_is_waited_for(ask: Any, stub: Any, stubs: Any) -> None:
    server = stub(stubs.fault(503, "overloaded", True, retry_after="0.25"), stubs.answer())
    assert ask(server.url).latency >= 0.25


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(ask: Any, stub: Any, stubs: Any) -> None:
    began = time.monotonic()
    with pytest.raises(Overloaded):
        ask(stub(stubs.fault(503, "overloaded", True, retry_after="20")).url, timeout=5)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("trouble", ["stall", "drip"])
def test_the_deadline_holds_whatever_the_server_does(ask: Any, stub: Any, stubs: Any, trouble: str) -> None:
    server = stub(getattr(stubs, trouble))
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        ask(server.url, timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 10
    assert len(server.seen) == 1


def test_the_server_is_told_what_is_left_of_the_deadline(ask: Any, stub: Any, stubs: Any) -> None:
    server = stub(stubs.fault(503, "overloaded", True, retry_after="0.2"), stubs.answer())
    ask(server.url, timeout=5)
    first, second = (int(seen.headers["x-modelserve-timeout-ms"]) for seen in server.seen)
    assert first <= 5000
    assert second <= first - 200


def test_all_calls_share_a_budget_of_retries(connect: Any, stub: Any, stubs: Any, rows: Any) -> None:
    server = stub(stubs.fault(503, "overloaded", True))
    client = connect(server.url, retries=Retries(first_delay=0, share=0.1, reserve=5), binary=False)
    for _ in range(100):
        with pytest.raises(Overloaded):
            client.infer("m", rows)
    assert 100 + 5 <= len(server.seen) <= 100 + 5 + 10


def test_connections_are_kept(connect: Any, stub: Any, stubs: Any, rows: Any) -> None:
    server = stub(stubs.answer())
    client = connect(server.url, binary=False)
    for _ in range(5):
        client.infer("m", rows)
    assert server.connections == 1


def test_no_proxy_of_the_environment_comes_between_the_client_and_loopback(
    connect: Any, stub: Any, stubs: Any, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert connect(stub(stubs.answer()).url, binary=False).infer("m", rows).attempts == 1


def test_a_proxy_of_the_environment_is_used_for_other_hosts(
    connect: Any, stub: Any, stubs: Any, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = stub(stubs.answer())
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    assert connect("http://models.example:8080", binary=False).infer("m", rows).attempts == 1
    assert proxy.seen[0].path == "http://models.example:8080/v2/models/m/infer"


def test_the_extensions_are_asked_once(connect: Any, stub: Any, stubs: Any, rows: Any) -> None:
    told = {"name": "modelserve", "version": "1", "extensions": ["binary_tensor_data"]}
    server = stub(stubs.answer(body=told), stubs.answer())
    client = connect(server.url)
    client.infer("m", rows)
    client.infer("m", rows)
    assert [seen.method for seen in server.seen] == ["GET", "POST", "POST"]
    assert server.seen[1].body.endswith(rows["x"].tobytes())


def test_a_server_that_tells_no_extensions_gets_json(connect: Any, stub: Any, stubs: Any, rows: Any) -> None:
    server = stub(stubs.fault(404, "not_found", False), stubs.answer())
    client = connect(server.url)
    client.infer("m", rows)
    client.infer("m", rows)
    assert [seen.method for seen in server.seen] == ["GET", "POST", "POST"]
    assert server.seen[1].headers["content-type"] == "application/json"


def test_headers_are_sent_once_however_they_are_spelt(connect: Any, stub: Any, stubs: Any, rows: Any) -> None:
    """Servers refuse a second Host."""
    server = stub(stubs.answer())
    given = {"Host": "models.example", "User-Agent": "mine", "X-Tenant": "a"}
    connect(server.url, binary=False, headers=given).infer("m", rows)
    (seen,) = server.seen
    assert (seen.headers["host"], seen.headers["user-agent"]) == ("models.example", "mine")
    assert len(seen.names) == len(set(seen.names))
    connect(server.url, binary=False).infer("m", rows)
    assert server.seen[1].headers["host"] == server.url.removeprefix("http://")


def test_headers_that_are_none_are_refused(connect: Any, stub: Any, stubs: Any, rows: Any) -> None:
    server = stub(stubs.answer())
    for bad in ("a\r\nx: y", "é\n", "雪"):
        with pytest.raises(InvalidInput):
            connect(server.url, binary=False).infer("m", rows, revision=bad)
    assert server.seen == []
