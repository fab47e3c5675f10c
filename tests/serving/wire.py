"""Requests as bytes, for what no HTTP client would send."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httptools

INFER = "/v2/models/m/infer"


def body(*row: float) -> bytes:
    """The body of an inference call with one row."""
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": list(row)}
    return json.dumps({"inputs": [tensor]}).encode()


def post(
    content: bytes, *headers: str, target: str = INFER, version: str = "1.1", sized: bool = True
) -> bytes:
    """A whole request."""
    lines = [f"POST {target} HTTP/{version}", "host: m", *headers]
    if sized:
        lines.append(f"content-length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


class Answer:
    """One response, as httptools tells it."""

    def __init__(self) -> None:
        self.status, self.headers, self.content = 0, dict[str, str](), b""
        self.complete = False

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def doubled(self) -> list[float]:
        """The answer's only tensor."""
        found: list[float] = self.json["outputs"][0]["data"]
        return found

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, content: bytes) -> None:
        self.content += content

    def on_message_complete(self) -> None:
        self.complete = True


class Line:
    """One connection to a server."""

    def __init__(self, url: str, timeout: float = 30) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=timeout)
        self._rest = b""

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> Line:
        self.socket.sendall(content)
        return self

    def answer(self) -> Answer:
        """The next response. Raises EOFError if the server closes before its end."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        answer = Answer()
        parser = httptools.HttpResponseParser(answer)
        parser.feed_data(head + b"\r\n\r\n")
        answer.status = parser.get_status_code()
        if "content-length" in answer.headers:
            length = int(answer.headers["content-length"])
            while len(self._rest) < length:
                self._more()
            answer.content, self._rest = self._rest[:length], self._rest[length:]
        return answer

    def raw(self) -> bytes:
        """The next response, which must tell its length in the usual way, as bytes and not looked at."""
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            self._more()
        at = self._rest.index(b"content-length: ") + 16
        size = end + 4 + int(self._rest[at : self._rest.index(b"\r", at)])
        while len(self._rest) < size:
            self._more()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        while got := self.socket.recv(65536):
            self._rest += got
        return self._rest

    def _more(self) -> None:
        got = self.socket.recv(65536)
        if not got:
            raise EOFError(f"the server closed the connection after {self._rest[:200]!r}")
        self._rest += got

    def closed(self) -> bool:
        """Whether the server ends the connection without another byte; waits for it."""
        try:
            return not self._rest and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def ask(url: str, request: bytes) -> Answer:
    """The answer to one request over a connection of its own."""
    with Line(url) as line:
        return line.send(request).answer()
