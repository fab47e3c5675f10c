"""Clients that are slow, deaf, gone or many harm nobody: whoever behaves is answered meanwhile."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.serving.wire import Line, ask, body, post

LIMIT = 1.0
"""Seconds that the servers here give a client."""


@pytest.fixture(scope="module")
def server(start_shared: Any, onnx_models: dict[str, Path]) -> Any:
    return start_shared(onnx_models["double"], threads=1, client_timeout=LIMIT)


@pytest.fixture
def url(server: Any) -> Iterator[str]:
    """The server's; it must answer well afterwards, and log no defect."""
    found: str = server.ready()
    yield found
    assert ask(found, post(body(1, 2))).doubled == [2.0, 4.0]
    assert [event for event in server.events() if event["level"] == "error"] == []


def until(condition: Callable[[], bool], description: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {description}"
        time.sleep(0.01)


def drip(line: Line, request: bytes) -> None:
    """Send a byte now and then, until the server ends the connection."""
    line.socket.settimeout(0.05)
    for byte in request:
        try:
            line.send(bytes([byte]))
            line.socket.recv(1, socket.MSG_PEEK)
            return
        except TimeoutError:
            continue
        except OSError:
            return
    raise AssertionError("all of it could be sent")


SLOW = {
    "its head": post(body(1, 2), *(f"x-{number}: y" for number in range(100))),
    "its body": post(body(1, 2)[:-1] + b" " * 1000 + b"}"),
    "its large body": post(body(1, 2)[:-1] + b" " * 100_000 + b"}"),
}


@pytest.mark.parametrize("request_", SLOW.values(), ids=SLOW.keys())
def test_one_that_sends_a_byte_now_and_then_is_cut_off(url: str, request_: bytes) -> None:
    with Line(url) as line:
        drip(line, request_)
        line.socket.settimeout(30)
        answer = line.answer()
        assert (answer.status, answer.json["code"]) == (408, "request_timeout")
        assert answer.json["retryable"] is True
        assert "after 1 s" in answer.json["error"]


def test_one_that_waits_between_its_requests_is_not_cut_off(url: str) -> None:
    with Line(url) as idle, Line(url) as slow:
        assert idle.send(post(body(1, 2))).answer().status == 200
        drip(slow, SLOW["its body"])
        assert idle.send(post(body(3, 4))).answer().doubled == [6.0, 8.0], "it waited for longer than that"


def test_one_that_never_reads_its_answers_takes_little_memory_and_is_cut_off(server: Any, url: str) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    request = b"GET /openapi.json HTTP/1.1\r\nhost: m\r\n\r\n"
    with Line(url) as deaf:
        _fill(deaf, request * 1000)
        assert process.memory_info().rss - before < 64 * 2**20
        assert ask(url, post(body(1, 2))).status == 200
        until(lambda: not _connected(process, deaf.socket), "it is cut off")


def _fill(line: Line, requests: bytes) -> None:
    """Send until nothing more is taken."""
    line.socket.settimeout(0.2)
    with contextlib.suppress(OSError):
        while True:
            line.send(requests)


def _connected(process: psutil.Process, client: socket.socket) -> bool:
    port = client.getsockname()[1]
    return any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp"))


def test_ones_that_leave_in_the_middle_of_sending(url: str) -> None:
    request = post(body(1, 2))
    for sent in range(0, len(request), 5):
        with Line(url) as line:
            line.send(request[:sent])


def test_ones_that_leave_while_they_are_answered(url: str) -> None:
    for _ in range(300):
        with Line(url) as line:
            line.send(post(body(1, 2)) * 3)
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset


def test_one_that_asks_with_many_long_names(server: Any, url: str) -> None:
    process = psutil.Process(server.process.pid)
    with Line(url) as line:
        for warm in (True, False):
            before = process.memory_info().rss
            for number in range(1000):
                name = f"{number:05}" + "m" * 50_000
                answer = line.send(post(b"{}", target=f"/v2/models/{name}/infer")).answer()
                assert answer.status == 404
                assert len(answer.content) < 500
            assert warm or process.memory_info().rss - before < 16 * 2**20
