"""Sockets for threads that keep to one deadline for a whole call.

httpcore bounds each read and each write alone, so that a server which drips could hold a caller for ever.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpcore

_now = threading.local()
"""``deadline``: of the call that this thread makes, on the monotonic clock."""
PIECE = 256 * 1024
"""Bytes that are written between two looks at the clock."""


@contextlib.contextmanager
def until(seconds: float) -> Iterator[None]:
    """Bound all that this thread reads and writes."""
    _now.deadline = time.monotonic() + seconds
    try:
        yield
    finally:
        _now.deadline = None


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    deadline = getattr(_now, "deadline", None)
    if deadline is None:
        return timeout
    left: float = deadline - time.monotonic()
    if left <= 0:
        raise late("the call's time is over")
    return left


class PunctualStream(httpcore.NetworkStream):
    """A stream that reads and writes only until its call's deadline."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), PIECE):
            self._inner.write(buffer[start : start + PIECE], _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return PunctualStream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Punctual(httpcore.NetworkBackend):
    """Opens streams that know their call's deadline."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *arguments: Any, **options: Any
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return PunctualStream(self._inner.connect_tcp(host, port, left, *arguments, **options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)
