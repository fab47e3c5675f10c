"""The engine's end: answers the calls that workers send, and counts how they ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

from modelserve._kit.eager import begin, in_task
from modelserve.domain.inference import Array
from modelserve.errors import Unavailable
from modelserve.protocol import faults
from modelserve.runtimes.isolated.faults import describe_fault
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.inference import Instruments
from modelserve.serving.workers import messages
from modelserve.serving.workers.messages import Head, Reader, written

HOW = frozenset({"succeeded", "failed", "divided", "abandoned", "began", "went_on"})


class Desk:
    """A Unix socket for workers. Lives on the event loop's thread."""

    def __init__(self, path: Path, plane: Dataplane, instruments: Instruments) -> None:
        self.plane, self.instruments = plane, instruments
        self._path = path
        self._until = 0.0
        self._connections: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._hurry = asyncio.Event()
        plane.repository.changed = self._changed
        instruments.segments.changed.append(self._divide)

    async def open(self) -> None:
        """Begin to listen; what a dead engine left of its socket makes room."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(self._connect, self._path)

    def drain(self, until: float, hurry: asyncio.Event) -> None:
        """Wait for the workers to hang up, until this monotonic time, once the desk is closed."""
        self._until, self._hurry = until, hurry

    async def close(self) -> None:
        """Take no new worker, let those that are there finish, and send the others away."""
        self._server.close()
        waits = {asyncio.ensure_future(event.wait()) for event in (self._empty, self._hurry)}
        if self._connections:
            left = max(0.0, self._until - time.monotonic())
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for connection in tuple(self._connections):
            connection.dismiss()

    def gone(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _connect(self) -> _Connection:
        connection = _Connection(self)
        self._connections.add(connection)
        self._empty.clear()
        return connection

    def _changed(self) -> None:
        for connection in self._connections:
            connection.say({"do": "changed"})

    def _divide(self) -> None:
        for connection in self._connections:
            connection.tell_segments()


class _Connection(asyncio.Protocol):
    """One worker."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._plane, self._instruments = desk, desk.plane, desk.instruments
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(self._hear)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._wanted: dict[int, asyncio.Semaphore] = {}
        """Of each stream, the pieces that its worker asks for beyond those it has."""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.tell_segments()

    def tell_segments(self) -> None:
        """What the worker is to divide calls by."""
        asked = self._instruments.segments.asked
        self.say({"do": "divide", "segments": [segment.model_dump() for segment in asked]})

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker is gone, and with it the clients of all its calls."""
        self._transport = None
        for task in tuple(self._tasks.values()):
            task.cancel()
        self._desk.gone(self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)

    def say(self, head: Head, buffers: list[Array] | None = None) -> None:
        if self._transport is not None:
            self._transport.writelines(written(head, buffers or []))

    def dismiss(self) -> None:
        """Tell the calls that are not answered yet that they won't be, and hang up."""
        for number in self._tasks:
            self._fail(number, Unavailable("the server stopped before the answer was there"), "")
        if self._transport is not None:
            self._transport.close()

    def _hear(self, head: Head, payload: Array) -> None:
        do = head["do"]
        if do == "ask":
            self._begin(head, self._answer(head, payload))
        elif do == "stream":
            self._begin(head, self._stream(head, payload))
        elif do == "next" and (wanted := self._wanted.get(head["id"])) is not None:
            wanted.release()
        elif do == "count":
            self._count(head)
        elif do == "sample":
            self._instruments.answers.add(*head["told"])
        elif do == "remember":
            self._instruments.answers.remember(*head["told"])
        elif do == "model":
            self._begin(head, self._tell_model(head))
        elif do == "cancel" and (task := self._tasks.get(head["id"])) is not None:
            task.cancel()

    def _begin(self, head: Head, work: Coroutine[Any, Any, None]) -> None:
        number = head["id"]
        if (task := begin(work, self._loop)) is not None:
            self._tasks[number] = task
            task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _answer(self, head: Head, payload: Array) -> None:
        number = head["id"]
        try:
            response = await self._plane.answer(messages.asked(head, payload))
            told, buffers = messages.answer(response)
            self.say({"id": number, **told}, buffers)
        except Exception as error:
            self._fail(number, error, head["request"])

    async def _stream(self, head: Head, payload: Array) -> None:
        await in_task()
        number = head["id"]
        wanted = self._wanted[number] = asyncio.Semaphore(0)
        try:
            async with aclosing(self._plane.stream(messages.asked(head, payload))) as pieces:
                async for piece in pieces:
                    told, buffers = messages.answer(piece)
                    self.say({"id": number, **told}, buffers)
                    await wanted.acquire()
            self.say({"id": number, "end": True})
        except Exception as error:
            self._fail(number, error, head["request"])
        finally:
            del self._wanted[number]

    async def _tell_model(self, head: Head) -> None:
        number, left = head["id"], head["left"]
        try:
            deadline = None if left is None else time.monotonic() + left
            served = await self._plane.model(head["model"], head["revision"], deadline)
        except Exception as error:
            self._fail(number, error, "")
            return
        told = {"name": served.name, "revision": served.revision, "task": served.task.value}
        told["signature"] = messages.describe_signature(served.signature)
        self.say({"id": number, "served": told})

    def _fail(self, number: int, error: Exception, request_id: str) -> None:
        told = faults.told(error, request_id)
        if told is not error:
            self._instruments.log.error("internal_error", error, request_id=request_id)
        self.say({"id": number, "fault": describe_fault(told)})

    def _count(self, head: Head) -> None:
        if head["how"] in HOW:
            telemetry = self._instruments.telemetry.of(head["model"], head["revision"])
            getattr(telemetry, head["how"])(*head["told"])
