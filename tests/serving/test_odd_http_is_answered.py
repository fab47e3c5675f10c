"""Unusual but proper HTTP is answered; what is no HTTP is refused, without harm to what came before it."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.serving.wire import INFER, Line, ask, body, post

GET = f"GET {INFER} HTTP/1.1\r\nhost: m\r\n\r\n".encode()
SLOW = 8.0
CODE = """
import threading, time


class Model:
    def load(self, folder):
        pass

    def predict(self, inputs):
        x = inputs["x"]
        if (x[:, 0] == 8).any():
            time.sleep(0.3)
        return {"y": 2 * x}
"""
SIGNATURE = """
signature:
  inputs: [{name: x, datatype: FP32, shape: [-1, 2]}]
  outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]
"""


@pytest.fixture(scope="module")
def url(start_shared: Any, onnx_models: dict[str, Path]) -> str:
    found: str = start_shared(onnx_models["double"], threads=1).ready()
    return found


@pytest.fixture(scope="module")
def slow(start_shared: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server that takes 0.3 s for a row that begins with 8."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "model.py").write_text(CODE)
    (folder / "modelserve.yaml").write_text(SIGNATURE)
    found: str = start_shared(folder, allow_code=True, max_batch=1).ready()
    return found


def chunked(content: bytes, *sizes: int, trailer: bytes = b"") -> bytes:
    """The body in chunks of these sizes, and one with the rest."""
    parts, start = b"", 0
    for size in (*sizes, len(content) - sum(sizes)):
        parts += b"%x\r\n%b\r\n" % (size, content[start : start + size])
        start += size
    return parts + b"0\r\n" + trailer + b"\r\n"


ASKED = body(1.5, 2)
PROPER = {
    "with a query": post(ASKED, target=f"{INFER}?x=1"),
    "with a name in percent signs": post(ASKED, target="/v2/models/%6d/infer"),
    "in absolute form": post(ASKED, target=f"http://m{INFER}"),
    "in chunks": post(chunked(ASKED, 1, 7), "transfer-encoding: chunked", sized=False),
    "in chunks with a trailer": post(
        chunked(ASKED, 5, trailer=b"x-request-id: late\r\n"),
        "transfer-encoding: chunked", sized=False,
    ),
    "with an empty host": post(ASKED).replace(b"host: m", b"host:"),
    "with an address for a host": post(ASKED).replace(b"host: m", b"Host: [::1]:8000"),
    "with a copy's host": post(ASKED).replace(b"host: m", b"host: [::1]-shadow:8000"),
    "with a host in capitals": post(ASKED).replace(b"host: m", b"HOST: My-Box.Example:80"),
    "with the coding in capitals": post(chunked(ASKED, 3), "Transfer-Encoding: Chunked", sized=False),
    "with a thousand headers": post(ASKED, *(f"x-{number}: {number}" for number in range(1000))),
    "with a long header": post(ASKED, "x-long: " + "a" * 60_000),
    "with an upgrade that nobody offers": post(ASKED, "connection: upgrade", "upgrade: h2c"),
    "with a websocket's upgrade": post(ASKED, "connection: upgrade", "upgrade: websocket"),
    "with empty lines before it": b"\r\n\r\n" + post(ASKED),
    "with spaces around a value": post(ASKED, "x-modelserve-timeout-ms:    5000   "),
    "packed": post(zlib.compress(ASKED), "content-encoding: deflate"),
}  # fmt: skip


@pytest.mark.parametrize("request_", PROPER.values(), ids=PROPER.keys())
def test_a_request(url: str, request_: bytes) -> None:
    with Line(url) as line:
        first = line.send(request_).answer()
        assert (first.status, first.doubled) == (200, [3.0, 4.0]), first.content
        assert line.send(post(body(5, 6))).answer().doubled == [10.0, 12.0], "the connection goes on"


@pytest.mark.parametrize("size", [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1])
def test_a_body_at_the_edge_of_the_short_way(url: str, size: int) -> None:
    padded = ASKED[:-1] + b" " * (size - len(ASKED)) + b"}"
    assert len(padded) == size
    with Line(url) as line:
        for request in (post(padded), post(padded), post(ASKED)):
            assert line.send(request).answer().doubled == [3.0, 4.0]


def test_a_request_in_single_bytes(url: str) -> None:
    with Line(url) as line:
        for byte in post(ASKED):
            line.send(bytes([byte]))
        assert line.answer().doubled == [3.0, 4.0]


def test_the_client_is_told_to_go_on(url: str) -> None:
    request = post(ASKED, "expect: 100-continue")
    head = request[: -len(ASKED)]
    with Line(url) as line:
        assert line.send(head).answer().status == 100
        assert line.send(ASKED).answer().doubled == [3.0, 4.0]


@pytest.mark.parametrize("padding", [0, 70_000])
def test_a_client_of_http_1_0_is_not_told_to_go_on(url: str, padding: int) -> None:
    request = post(ASKED[:-1] + b" " * padding + b"}", "expect: 100-continue", version="1.0")
    with Line(url) as line:
        answer = line.send(request).answer()
        assert (answer.status, answer.doubled) == (200, [3.0, 4.0])
        assert line.closed()


def test_a_client_of_http_1_0_gets_its_answer_and_the_end(url: str) -> None:
    for header in ("connection: keep-alive", "connection: close", "x: y"):
        with Line(url) as line:
            answer = line.send(post(ASKED, header, version="1.0")).answer()
            assert (answer.doubled, answer.headers["connection"]) == ([3.0, 4.0], "close")
            assert line.closed()


def test_the_connection_ends_where_the_client_wants_it(url: str) -> None:
    with Line(url) as line:
        answer = line.send(post(ASKED, "connection: close") + post(body(5, 6))).answer()
        assert (answer.doubled, answer.headers["connection"]) == ([3.0, 4.0], "close")
        assert line.closed(), "what follows is not answered"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_another_method_is_refused(url: str, method: str) -> None:
    with Line(url) as line:
        answer = line.send(GET.replace(b"GET", method.encode())).answer()
        assert (answer.status, answer.json["code"], answer.headers["allow"]) == (
            405,
            "method_not_allowed",
            "POST",
        )
        assert line.send(post(ASKED)).answer().status == 200


def test_requests_behind_each_other_are_answered_in_turn(slow: str) -> None:
    rows = [(SLOW, 1.0), (1.0, 2.0), (SLOW, 3.0), (2.0, 4.0), (3.0, 5.0)]
    with Line(slow) as line:
        line.send(b"".join(post(body(*row)) for row in rows) + GET)
        assert [line.answer().doubled for _ in rows] == [[2 * a, 2 * b] for a, b in rows]
        assert line.answer().status == 405


def test_ten_thousand_requests_at_once_over_one_connection(url: str) -> None:
    count, request = 10_000, b"GET /v2/health/live HTTP/1.1\r\nhost: m\r\n\r\n"
    with Line(url) as line:
        line.send(request * count)
        assert {line.answer().status for _ in range(count)} == {200}


NO_HTTP = {
    "two lengths": post(ASKED, "content-length: 5"),
    "a length and chunks": post(ASKED, "transfer-encoding: chunked"),
    "a length that is none": post(ASKED, "content-length: 1e3", sized=False),
    "a negative length": post(ASKED, "content-length: -1", sized=False),
    "a length without end": post(ASKED, "content-length: " + "9" * 400, sized=False),
    "a header over two lines": post(ASKED, "x-a: b\r\n c"),
    "a header without a colon": post(ASKED, "nonsense"),
    "a null in a header": post(ASKED, "x-a: \0"),
    "a chunk's size that is none": post(b"zz\r\n", "transfer-encoding: chunked", sized=False),
    "no version": f"POST {INFER}\r\n\r\n".encode(),
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a proxy's business": b"CONNECT m:80 HTTP/1.1\r\nhost: m\r\n\r\n",
    "an unknown method": GET.replace(b"GET", b"BREW"),
    "bytes beyond ASCII in the path": post(ASKED, target="/v2/models/é/infer"),
    "no host": post(ASKED).replace(b"host: m\r\n", b""),
    "two hosts": post(ASKED, "host: other"),
    "the same host twice": post(ASKED, "Host: m"),
    "two hosts in HTTP/1.0": post(ASKED, "host: other", version="1.0"),
    "two hosts in one": post(ASKED).replace(b"host: m", b"host: m,other"),
    "a host with a path": post(ASKED).replace(b"host: m", b"host: m/v2"),
    "a host with blanks": post(ASKED).replace(b"host: m", b"host: m other"),
    "a host with somebody's name": post(ASKED).replace(b"host: m", b"host: ada@m"),
    "a host beyond ASCII": post(ASKED).replace(b"host: m", "host: é".encode()),
    "no host in a request that is no call": GET.replace(b"host: m\r\n", b""),
    "chunks in HTTP/1.0": post(chunked(ASKED), "transfer-encoding: chunked", sized=False, version="1.0"),
    "chunks of chunks": post(chunked(ASKED), "transfer-encoding: chunked, chunked", sized=False),
    "chunks that are not the last coding": post(
        chunked(ASKED), "transfer-encoding: chunked, gzip", sized=False
    ),
}


@pytest.mark.parametrize("request_", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_no_http_is_refused(url: str, request_: bytes) -> None:
    with Line(url) as line:
        answer = line.send(request_).answer()
        assert (answer.status, answer.json["code"]) == (400, "invalid_input"), answer.content
        assert answer.headers["connection"] == "close"
        assert line.closed()


CODED = {
    "packed and in chunks": ("gzip, chunked",),
    "on two lines": ("gzip", "chunked"),
    "in capitals": ("GZIP,Chunked",),
    "an old name": ("x-gzip, chunked",),
    "deflated": ("deflate, chunked",),
    "an unknown coding": ("br, chunked",),
    "chunks with a parameter": ("chunked;q=1",),
    "packed without chunks": ("gzip",),
}


@pytest.mark.parametrize("codings", CODED.values(), ids=CODED.keys())
@pytest.mark.parametrize("plain", [True, False])
def test_a_transfer_coding_that_is_not_understood_is_refused_by_name(
    url: str, codings: tuple[str, ...], plain: bool
) -> None:
    """RFC 9112, 6.1; whatever the body really is."""
    content = chunked(ASKED if plain else gzip.compress(ASKED))
    with Line(url) as line:
        headers = [f"transfer-encoding: {coding}" for coding in codings]
        answer = line.send(post(content, *headers, sized=False)).answer()
        assert (answer.status, answer.json["code"]) == (501, "invalid_input"), answer.content
        assert answer.json["error"].startswith("transfer-encoding: got ")
        assert answer.headers["connection"] == "close"
        assert line.closed()


def test_a_host_that_changes_or_is_missing_later_is_looked_at(url: str) -> None:
    other = post(ASKED).replace(b"host: m", b"host: other")
    with Line(url) as line:
        for request in (post(ASKED), other, post(ASKED)):
            assert line.send(request).answer().doubled == [3.0, 4.0]
        refused = line.send(other.replace(b"host: other\r\n", b"")).answer()
        assert (refused.status, refused.json["error"]) == (400, "host: is missing; HTTP/1.1 needs it")
        assert line.closed()


def test_a_refused_host_costs_the_requests_before_it_nothing(slow: str) -> None:
    with Line(slow) as line:
        line.send(post(body(SLOW, 1)) + post(body(1, 2)) + post(body(2, 3), "host: other"))
        assert line.answer().doubled == [16.0, 2.0]
        assert line.answer().doubled == [2.0, 4.0]
        assert line.closed()


def test_a_client_of_http_1_0_needs_no_host(url: str) -> None:
    answer = ask(url, post(ASKED, version="1.0").replace(b"host: m\r\n", b""))
    assert answer.doubled == [3.0, 4.0]


def test_encodings_on_several_lines_are_one_list(url: str) -> None:
    packed = zlib.compress(ASKED)
    for headers in (
        ("content-encoding: identity", "content-encoding: deflate"),
        ("content-encoding: deflate,",),
    ):
        assert ask(url, post(packed, *headers)).doubled == [3.0, 4.0]
    twice = ask(url, post(packed, "content-encoding: deflate", "content-encoding: deflate"))
    assert (twice.status, twice.json["code"]) == (415, "unsupported_media")


def test_a_head_without_end_is_cut_off(url: str) -> None:
    for endless in (b"x-a: b\r\n" * 1000, b"a" * 8000):
        with Line(url) as line:
            line.send(f"POST {INFER} HTTP/1.1\r\nx: ".encode())
            assert _cut_off(line, endless) < _held_by_the_kernel() + 5_000_000


def test_a_trailer_without_end_is_cut_off(url: str) -> None:
    with Line(url) as line:
        line.send(post(b"", "transfer-encoding: chunked", sized=False) + b"2\r\n{}\r\n0\r\nx: ")
        assert _cut_off(line, b"a" * 8000) < _held_by_the_kernel() + 5_000_000


def _held_by_the_kernel() -> int:
    """The most bytes on their way that nobody has read: a busy server has them there, and they were sent."""
    buffers = (Path(f"/proc/sys/net/ipv4/tcp_{way}mem").read_text().split()[2] for way in "rw")
    return sum(map(int, buffers))


def _cut_off(line: Line, endless: bytes) -> int:
    """Bytes that could be sent until the server ended the connection."""
    sent = 0
    try:
        while sent < 200_000_000:
            line.send(endless)
            sent += len(endless)
    except OSError:
        pass
    return sent


def test_the_requests_before_nonsense_get_their_own_answers(slow: str) -> None:
    with Line(slow) as line:
        line.send(post(body(SLOW, 1)) + post(body(1, 2)) + b"\0nonsense\r\n\r\n")
        assert line.answer().doubled == [16.0, 2.0]
        assert line.answer().doubled == [2.0, 4.0]
        assert line.closed()


def test_every_refusal_is_json(url: str) -> None:
    for target in ("/", "/v2/models/m", "/v2/models/m/infer/", "//", "/v2/models/" + "m" * 5000 + "/infer"):
        answer = ask(url, post(ASKED, target=target))
        assert answer.status in {404, 405}
        assert json.loads(answer.content)["code"]
        assert len(answer.content) < 1000
