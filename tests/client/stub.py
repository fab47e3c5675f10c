"""A server over real sockets that misbehaves as it is told, one behaviour to a request."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Behaviour = Callable[[socket.socket, threading.Event], None]
GOOD = {"model_name": "m", "model_version": "m-00001", "outputs": []}


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    names: tuple[str, ...] = ()
    """Of all headers, in their order."""


def answer(status: int = 200, body: Any = None, **headers: str) -> Behaviour:
    """A whole answer; a keyword ``retry_after`` becomes the header ``retry-after``."""
    content = body if isinstance(body, bytes) else json.dumps(GOOD if body is None else body).encode()
    told = {"content-length": str(len(content))} | {k.replace("_", "-"): v for k, v in headers.items()}
    head = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in told.items()), "", ""]

    def behave(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall("\r\n".join(head).encode() + content)

    return behave


def fault(status: int, code: str, retryable: bool, **headers: str) -> Behaviour:
    return answer(status, {"error": f"this is {code}", "code": code, "retryable": retryable}, **headers)


def reset(connection: socket.socket, _: threading.Event) -> None:
    """End the connection with RST, unanswered."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError


def hang_up(_: socket.socket, __: threading.Event) -> None:
    """End the connection in good order, unanswered."""
    raise ConnectionResetError


def stall(_: socket.socket, over: threading.Event) -> None:
    """Say nothing until the test is over."""
    over.wait(30)


def garbage(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"220 smtp.example.com ESMTP\r\n\r\n")


def broken_off(connection: socket.socket, _: threading.Event) -> None:
    """Begin an answer and end the connection in its middle."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    raise ConnectionResetError


def drip(connection: socket.socket, over: threading.Event) -> None:
    """A header without end, a little every few milliseconds."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    while not over.wait(0.02):
        connection.sendall(b"x")


class Stub:
    """Plays the behaviours in order, and the last of them for ever."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self._script = deque(behaviours)
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as file:
            while (request := _read(file)) is not None:
                self.seen.append(request)
                behave = self._script.popleft() if len(self._script) > 1 else self._script[0]
                behave(connection, self._over)


def _read(file: Any) -> Seen | None:
    line = file.readline().decode()
    if not line:
        return None
    method, path, _ = line.split(" ")
    fields = []
    while field := file.readline().decode().strip():
        name, _, value = field.partition(":")
        fields.append((name.lower(), value.strip()))
    headers = dict(fields)
    names = tuple(name for name, _ in fields)
    return Seen(method, path, headers, file.read(int(headers.get("content-length", "0"))), names)
