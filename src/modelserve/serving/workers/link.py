"""A worker's end of its connection to the engine, made anew whenever an engine comes back."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from modelserve.domain.inference import Array
from modelserve.errors import DeadlineExceeded, EngineDied, NotReady
from modelserve.runtimes.isolated.faults import restore_fault
from modelserve.serving.workers.messages import Head, Reader, written

PAUSE = 0.05
"""Seconds between two attempts to reach the engine."""
OVERDUE = 0.5
"""Seconds beyond a call's deadline after which an engine that says nothing is not waited for any longer."""
LATE = 10_000
"""Messages kept for the next engine while there is none: how calls ended that no engine answered."""

Answer = tuple[Head, Array]


class Link(asyncio.Protocol):
    """``changed`` is called when other models may answer than before, ``divide`` with the segments that calls
    are to be divided by. Lives on the event loop's thread."""

    def __init__(self, path: Path, changed: Callable[[], None], divide: Callable[[list[Head]], None]) -> None:
        self._path, self._changed, self._divide = path, changed, divide
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._numbers = itertools.count(1)
        self._late: deque[Head] = deque(maxlen=LATE)

    async def keep(self) -> None:
        """Be connected, again and again, until cancelled."""
        while True:
            try:
                await self._loop.create_unix_connection(lambda: self, str(self._path))
            except OSError:
                await asyncio.sleep(PAUSE)
            else:
                await self._lost.wait()

    async def ask(self, head: dict[str, Any], buffers: list[Array], deadline: float | None) -> Answer:
        """The engine's answer to a message; ``deadline`` is a reading of the monotonic clock.

        Raises what the engine raised, NotReady while there is none, EngineDied if it ends before it answers,
        and DeadlineExceeded if it says nothing. Cancelling tells the engine.
        """
        number, engine = next(self._numbers), self._engine()
        try:
            return await self._exchange(engine, {"id": number, **head}, buffers, deadline)
        except (asyncio.CancelledError, DeadlineExceeded):
            self._cancel(engine, number)
            raise

    async def stream(
        self, head: dict[str, Any], buffers: list[Array], deadline: float | None
    ) -> AsyncGenerator[Answer, None]:
        """The engine's answers to a message, each asked for in its turn. Raises as :meth:`ask` does."""
        number, engine = next(self._numbers), self._engine()
        ended = False
        try:
            told, payload = await self._exchange(engine, {"id": number, **head}, buffers, deadline)
            while not (ended := "end" in told):
                yield told, payload
                told, payload = await self._exchange(engine, {"do": "next", "id": number}, [], deadline)
        finally:
            if not ended:
                self._cancel(engine, number)

    def _engine(self) -> asyncio.Transport:
        if self._transport is None:
            raise NotReady("the engine is being started; try again later", retry_after=1.0)
        return self._transport

    async def _exchange(
        self, engine: asyncio.Transport, head: Head, buffers: list[Array], deadline: float | None
    ) -> Answer:
        """Send a message and wait for what comes with its ``id``."""
        if engine is not self._transport:
            raise _died()
        number = head["id"]
        future = self._waiting[number] = self._loop.create_future()
        engine.writelines(written(head, buffers))
        timer = None if deadline is None else self._loop.call_later(_left(deadline), _give_up, future)
        try:
            told, payload = await future
        finally:
            self._waiting.pop(number, None)
            if timer is not None:
                timer.cancel()
        if "fault" in told:
            raise restore_fault(told["fault"])
        return told, payload

    def _cancel(self, engine: asyncio.Transport, number: int) -> None:
        if engine is self._transport:
            self._write({"do": "cancel", "id": number})

    def tell(self, head: Head) -> None:
        """Say something that has no answer, as soon as there is an engine."""
        if not self._write(head):
            self._late.append(head)

    def close(self) -> None:
        """Hang up, after what was said has left."""
        if self._transport is not None:
            self._transport.close()

    def _write(self, head: Head) -> bool:
        if self._transport is None:
            return False
        self._transport.writelines(written(head))
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._reader = Reader(self._hear)
        self._lost.clear()
        self._changed()
        while self._late:
            self._write(self._late.popleft())

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._changed()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_died())
        self._lost.set()

    def _hear(self, head: Head, payload: Array) -> None:
        if head.get("do") == "changed":
            self._changed()
            return
        if head.get("do") == "divide":
            self._divide(head["segments"])
            return
        future = self._waiting.get(head["id"])
        if future is not None and not future.done():
            future.set_result((head, payload))


def _died() -> EngineDied:
    return EngineDied("the engine ended before it answered", retry_after=1.0)


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic()) + OVERDUE


def _give_up(future: asyncio.Future[Answer]) -> None:
    if not future.done():
        future.set_exception(DeadlineExceeded("the deadline passed and the engine says nothing"))
