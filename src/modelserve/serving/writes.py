"""What a connection does beneath its protocol: writes in one piece, and reading that waits for answering."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

PIPELINED = 64
"""Requests of one connection that wait for the one before them, from which no more are read: a client that
sends faster than it is answered must not fill the memory."""


class JoinedWrites:
    """A transport that gathers writes until the loop's next turn; everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pending: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(data)

    def write_now(self, data: bytes) -> None:
        """Write what needs no joining."""
        if self._pending:
            self._flush()
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pending and not self._transport.is_closing():
            self._transport.write(b"".join(self._pending))
        self._pending.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BoundedFlow(FlowControl):
    """Reads on only while few requests wait in the connection's pipeline."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if len(self._pipeline) < PIPELINED:
            super().resume_reading()


class Unread:
    """How long a client has taken nothing of what was written to it."""

    __slots__ = ("_since", "_size")

    def __init__(self) -> None:
        self._size, self._since = 0, 0.0

    def seconds(self, size: int, now: float) -> float:
        """``size`` is the number of bytes that it still has to take."""
        if size != self._size or not size:
            self._size, self._since = size, now
        return now - self._since
