"""Answers in pieces: a thread for each stream asks the model, a few pieces ahead of the client.

A stream has a place of its own among as many as the model takes at the same time; who finds none waits, as
in the queue. The thread asks for the next piece only while fewer than :data:`AHEAD` wait for the client: a
slow reader slows the model down, and fills no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

from modelserve.domain.inference import Tensors
from modelserve.errors import DeadlineExceeded, ModelFailed, ModelServeError, Overloaded
from modelserve.runtimes.base import DEADLINE, Streaming

AHEAD = 4
"""Pieces that may wait for the client."""


class Streams:
    """The streams of one model. Lives on the event loop's thread."""

    def __init__(self, model: Streaming, places: int, max_waiting: int) -> None:
        self._model, self._places, self._max_waiting = model, asyncio.Semaphore(places), max_waiting
        self.waiting = self.open = 0

    def require_room(self) -> None:
        """Raise Overloaded if one more stream would have to wait behind too many."""
        if self._places.locked() and self.waiting >= self._max_waiting:
            raise Overloaded(f"{self.waiting} streams wait already", retry_after=1.0)

    async def pieces(
        self, tensors: Tensors, outputs: Sequence[str], deadline: float | None
    ) -> AsyncGenerator[Tensors, None]:
        """The pieces of one answer. Closing the iterator ends the model's work on it.

        Raises Overloaded, DeadlineExceeded at the deadline (monotonic seconds), or what the model raises.
        """
        await self._take_place(deadline)
        stream = _Stream(self._model, tensors, outputs, deadline, self._give_place)
        self.open += 1
        try:
            while (piece := await before(deadline, stream.next())) is not None:
                yield piece
                stream.taken()
        finally:
            self.open -= 1
            stream.stop()

    async def _take_place(self, deadline: float | None) -> None:
        self.require_room()
        self.waiting += 1
        try:
            await before(deadline, self._places.acquire())
        finally:
            self.waiting -= 1

    def _give_place(self) -> None:
        self._places.release()


class _Stream:
    """One stream: its thread, and what it has made that nobody has taken yet."""

    def __init__(
        self, model: Streaming, tensors: Tensors, outputs: Sequence[str], deadline: float | None, ended: Any
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Queue[Tensors | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)
        self._stopped = False
        self._ended = ended
        work = (model, tensors, outputs, deadline)
        threading.Thread(target=self._work, args=work, name="stream", daemon=True).start()

    async def next(self) -> Tensors | None:
        """The next piece, None after the last. Raises what the model raised."""
        made = await self._made.get()
        if isinstance(made, Exception):
            raise made
        return made

    def taken(self) -> None:
        """The client has the last piece."""
        self._room.release()

    def stop(self) -> None:
        """Have the thread end after the piece that it is at."""
        self._stopped = True
        self._room.release()

    # On the stream's own thread.

    def _work(
        self, model: Streaming, tensors: Tensors, outputs: Sequence[str], deadline: float | None
    ) -> None:
        DEADLINE.set(deadline)
        pieces = model.stream(tensors, outputs)
        last: Exception | None = None
        try:
            self._make(pieces)
        except Exception as error:
            last = _as_failure(error)
        finally:
            _close(pieces)
        self._tell(self._made.put_nowait, last)
        self._tell(self._ended)

    def _make(self, pieces: Iterator[Tensors]) -> None:
        while self._room.acquire() and not self._stopped:
            if (piece := next(pieces, None)) is None:
                return
            self._tell(self._made.put_nowait, piece)

    def _tell(self, what: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(what, *arguments)


def _close(pieces: Iterator[Tensors]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        with contextlib.suppress(Exception):  # the client has its answer, or is gone
            close()


def _as_failure(error: Exception) -> Exception:
    if isinstance(error, ModelServeError):
        return error
    failed = ModelFailed("the model failed on this input")
    failed.__cause__ = error
    return failed


async def before(deadline: float | None, what: Any) -> Any:
    """Wait for ``what`` until the deadline. Raises DeadlineExceeded."""
    try:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the result.
        async with asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())):
            return await what
    except TimeoutError:
        raise DeadlineExceeded("the deadline passed before the answer was whole") from None
