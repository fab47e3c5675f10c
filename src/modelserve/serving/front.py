"""A uvicorn server whose life somebody else decides: when it listens, drains and ends."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import Iterator
from typing import Any, cast

import uvicorn

from modelserve._kit.listening import admit_nobody_new
from modelserve.serving.wire import Protocol

NOTICE = 1.0
"""Seconds for which a draining server goes on as before, so that proxies see it is no longer ready."""
SETTLE = 0.1
"""Seconds between the last connection's beginning and the end of listening: for those on their way."""
CHECK = 5.0
"""Seconds between two looks for connections whose clients take too long."""


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: who runs it decides what a signal means."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Front:
    """One application behind one listening socket."""

    def __init__(self, app: Any, client_timeout: float) -> None:
        """``client_timeout``: seconds that a client may take for what it must do."""
        self._limit = client_timeout
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._server = _Uvicorn(config)

    def open(self, listener: socket.socket) -> asyncio.Task[None]:
        """Begin to answer; the task ends when the server has stopped."""
        self._listener = listener
        self.serving = asyncio.create_task(self._server.serve([listener]))
        self._checking = asyncio.create_task(self._check_connections())
        return self.serving

    def hurry(self) -> None:
        """Wait for nobody any more."""
        self._server.force_exit = True

    async def drain(self, until: float, hurried: asyncio.Event) -> None:
        """Take no new connection; what is in flight may go on until the monotonic time ``until``."""
        admit_nobody_new(self._listener)
        await unless(hurried, SETTLE)
        self._server.config.timeout_graceful_shutdown = max(1, math.ceil(until - time.monotonic()))

    async def close(self) -> None:
        """Stop, after what is in flight; calls that are cut off say so to their clients."""
        self._checking.cancel()
        self._server.should_exit = True
        await self.serving
        if cut_off := self._server.server_state.tasks:
            await asyncio.wait(cut_off, timeout=SETTLE)
            await asyncio.sleep(0)  # what was written leaves with the loop's next turn

    async def _check_connections(self) -> None:
        while True:
            await asyncio.sleep(min(CHECK, self._limit / 4))
            now = time.monotonic()
            for connection in tuple(self._server.server_state.connections):
                cast(Protocol, connection).check(now, self._limit)


async def unless(event: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until the event."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
