"""Noticing that a client went away while its call waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from modelserve.serving.body import ClientGone

PATIENCE = 0.03
"""Seconds before a call is watched at all: most are answered by then, and watching costs a task."""

T = TypeVar("T")


class _Watch:
    """Cancels the task that made it when the client goes away."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._listener: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(PATIENCE, self._start)

    def _start(self) -> None:
        self._listener = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()


async def unless_gone(answer: Awaitable[T], receive: Receive) -> T:
    """Wait for ``answer``; cancel it and raise ClientGone as soon as the client is seen to be gone.

    The request's body must have been read.
    """
    watch = _Watch(receive)
    try:
        return await answer
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if watch.gone and task is not None and not task.uncancel():
            raise ClientGone from None
        raise
    finally:
        watch.stop()
