"""HEAD is answered as GET is, without the body, wherever GET is answered (RFC 9110, 9.1 and 9.3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.wire import Line, body, post

HEAD = "HEAD {path} HTTP/1.1\r\nhost: m\r\n\r\n"
NOT_COMPARED = {"date", "x-request-id"}


@pytest.fixture(scope="module", params=[0, 2], ids=["one process", "two HTTP workers"])
def url(request: Any, start_shared: Any, onnx_models: dict[str, Path]) -> str:
    settings = {"threads": 1} | ({"http_workers": request.param} if request.param else {})
    found: str = start_shared(onnx_models["double"], **settings).ready()
    return found


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as connected:
        yield connected


@pytest.fixture(scope="module")
def operations(client: httpx.Client) -> dict[str, set[str]]:
    """The methods of each path in the server's own document, with the names of its model filled in."""
    paths = client.get("/openapi.json").json()["paths"]
    named = {path: path.replace("{model}", "m").replace("{version}", "m-00001") for path in paths}
    return {named[path]: {method.upper() for method in paths[path]} for path in paths}


def told(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in NOT_COMPARED}


def test_on_every_path(client: httpx.Client, operations: dict[str, set[str]]) -> None:
    readable = [path for path, methods in operations.items() if "GET" in methods]
    assert len(readable) >= 14
    for path in [*readable, "/openapi.json", "/v2/health/live?x=1"]:
        head = client.head(path)
        got = client.get(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        if path == "/metrics":  # it counts on
            assert abs(int(head.headers["content-length"]) - len(got.content)) < 100
        else:
            assert told(head) == told(got), path
            assert int(head.headers["content-length"]) == len(got.content)


def test_when_it_is_refused(client: httpx.Client) -> None:
    for path in ("/v2/models/other", "/nothing", "/internal/answers?after=x", "/v2/models/m/versions/m-9"):
        head, got = client.head(path), client.get(path)
        assert (head.status_code, head.content, told(head)) == (got.status_code, b"", told(got))
        assert head.status_code in (400, 404)


def test_but_not_where_there_is_no_get(client: httpx.Client, operations: dict[str, set[str]]) -> None:
    """A 405 names every method of its path."""
    for path, methods in operations.items():
        there = methods | ({"GET"} if path.endswith(":predict") else set())  # of a model with that name
        there |= {"HEAD"} if "GET" in there else set()
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - there:
            answer = client.request(method, path)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == there, (method, path)


def test_over_a_connection_that_goes_on(url: str) -> None:
    """The answer to a HEAD ends with its head, whatever it says of a length."""
    with Line(url) as line:
        head = HEAD.format(path="/v2/models/m").encode()
        line.send(head + head + post(body(1, 2)))
        for _ in range(2):
            assert b"200 OK" in until_blank_line(line)
        assert line.answer().doubled == [2.0, 4.0]


def until_blank_line(line: Line) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += line.socket.recv(1)
    return received
