"""Answers as server-sent events: one for each piece, a comment where nothing happens for a while.

Nothing is sent before the first piece is there (or :data:`HEARTBEAT` has passed), so that a call that fails
at once is answered with its status like any other. Afterwards a failure is the last event.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.types import Receive, Send

from modelserve.domain.inference import InferenceResponse
from modelserve.errors import DeadlineExceeded, ModelServeError
from modelserve.protocol import events, faults
from modelserve.serving.body import ClientGone
from modelserve.serving.codecs import Incoming
from modelserve.serving.contracts import Answering
from modelserve.serving.inference import InferenceRoute
from modelserve.serving.replies import send_fault
from modelserve.serving.streaming import before
from modelserve.serving.watching import unless_gone

HEARTBEAT = 10.0
"""Seconds of silence after which a comment is sent; proxies close what is silent for a minute or so."""
LAST_WORDS = 1.0
"""Seconds for a slow reader to take the event that says why its stream ends."""
_HEADERS = [
    (b"content-type", events.CONTENT_TYPE), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"),
]  # fmt: skip


class EventRoute(InferenceRoute):
    """Answers with events: every call if ``always``, else those that ask for them with ``accept``."""

    always = False

    async def _respond(self, incoming: Incoming, served: Answering, receive: Receive, send: Send) -> None:
        if not (self.always or events.wanted(incoming.exchange.accept)):
            await super()._respond(incoming, served, receive, send)
            return
        with contextlib.suppress(ClientGone):
            await unless_gone(self._stream(incoming, served, _Writer(send, incoming.deadline)), receive)

    async def _stream(self, incoming: Incoming, served: Answering, writer: _Writer) -> None:
        exchange, telemetry = incoming.exchange, served.telemetry
        try:
            request, encode = await self._read(incoming, served)
            writer.deadline = incoming.deadline  # the body may have said more of it
            async with contextlib.aclosing(_punctual(served.stream(request), HEARTBEAT)) as pieces:
                async for piece in pieces:
                    if piece is None:
                        await writer.heartbeat()
                        continue
                    if not writer.count:
                        telemetry.began(time.monotonic() - incoming.arrival)
                    await writer.event(encode(piece).body)
                    telemetry.went_on()
        except asyncio.CancelledError:
            telemetry.abandoned(exchange.arm)
            raise
        except Exception as error:
            told = self._instruments.failed(telemetry, exchange, self._codec.name, error)
            await writer.fail(told)
        else:
            await writer.end()
            seconds = time.monotonic() - incoming.arrival
            self._instruments.streamed(telemetry, exchange, self._codec.name, seconds)


class StreamRoute(EventRoute):
    """Always answers with events."""

    always = True
    takes_whole = False


class _Writer:
    """One response; a reader that is slower than the deadline is given up. Raises DeadlineExceeded."""

    def __init__(self, send: Send, deadline: float) -> None:
        self._send, self.deadline = send, deadline
        self.started = False
        self.count = 0

    async def event(self, data: bytes) -> None:
        await self._write(events.event(data))
        self.count += 1

    async def heartbeat(self) -> None:
        await self._write(events.HEARTBEAT)

    async def end(self) -> None:
        """The answer is whole."""
        await self._write(b"", more=False)

    async def fail(self, error: ModelServeError) -> None:
        """Say why there is no more; as a plain response if nothing has been sent yet."""
        if not self.started:
            await send_fault(self._send, error)
            return
        self.deadline = time.monotonic() + LAST_WORDS
        with contextlib.suppress(DeadlineExceeded):
            await self._write(events.event(faults.body(error), events.FAILED), more=False)

    async def _write(self, body: bytes, *, more: bool = True) -> None:
        if not self.started:
            self.started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
        message = {"type": "http.response.body", "body": body, "more_body": more}
        await before(self.deadline, self._send(message))


async def _punctual(
    pieces: AsyncGenerator[InferenceResponse, None], seconds: float
) -> AsyncGenerator[InferenceResponse | None, None]:
    """The pieces, and None whenever none has come for so many seconds."""
    following: asyncio.Future[Any] = asyncio.ensure_future(_next(pieces))
    try:
        while True:
            await asyncio.wait({following}, timeout=seconds)
            if not following.done():
                yield None
                continue
            if (piece := following.result()) is None:
                return
            yield piece
            following = asyncio.ensure_future(_next(pieces))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await pieces.aclose()


async def _next(pieces: AsyncIterator[InferenceResponse]) -> InferenceResponse | None:
    return await anext(pieces, None)
