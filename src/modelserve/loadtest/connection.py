"""One connection of the load: a request at a time, told to its owner when it is answered."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

import httptools

from modelserve.loadtest.tallies import BROKEN, NO_HTTP, Outcome
from modelserve.loadtest.wire import Seen, quick


class Owner(Protocol):
    """Whoever sends over connections."""

    def opened(self, connection: Connection) -> None:
        """It is there."""

    def free(self, connection: Connection) -> None:
        """It is open and idle."""

    def answered(self, connection: Connection, seen: Seen) -> None:
        """Its request has this answer."""

    def failed(self, connection: Connection, outcome: Outcome) -> None:
        """Its request gets no answer."""

    def closed(self, connection: Connection) -> None:
        """It is gone; what was under way has been told as failed."""


class Connection(asyncio.Protocol):
    """Sends when asked to. What comes in one piece is taken apart here, anything else by a parser."""

    __slots__ = ("_owner", "_parser", "_parts", "_transport", "busy", "due", "sent")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser: _Parser | None = None
        self.busy = False
        self.due = self.sent = 0.0
        """Readings of the monotonic clock, of the request under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._owner.opened(self)
        self._owner.free(self)

    def ask(self, request: bytes, due: float) -> None:
        """Send; ``due`` is when it should have been sent."""
        self.busy, self.due, self.sent = True, due, time.monotonic()
        self._transport.write(request)  # type: ignore[union-attr] # only a connection that is free is asked

    def data_received(self, data: bytes) -> None:
        seen = quick(data) if self._parser is None else None
        if seen is None:
            self._parse(data)
        else:
            self._tell(seen)

    def connection_lost(self, _: Exception | None) -> None:
        if self.busy:
            self.fail(BROKEN)
        self._owner.closed(self)

    def fail(self, outcome: Outcome) -> None:
        """Give the request under way up, and the connection with it."""
        self.busy = False
        self._owner.failed(self, outcome)
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = _Parser()
        try:
            self._parser.feed(data)
        except httptools.HttpParserError:
            if self.busy:
                self.fail(NO_HTTP)
            return
        if self._parser.complete:
            seen, self._parser = self._parser.seen(), None
            self._tell(seen)

    def _tell(self, seen: Seen) -> None:
        if not self.busy:  # an answer that nobody asked for
            self.abort()
            return
        self.busy = False
        self._owner.answered(self, seen)
        if seen.last:
            self.abort()
        elif not self.busy:
            self._owner.free(self)


class _Parser:
    """One answer in pieces, of any spelling, chunked or with a length."""

    def __init__(self) -> None:
        self._http = httptools.HttpResponseParser(self)
        self._revision = b""
        self._body: list[bytes] = []
        self._last = self.complete = False

    def feed(self, data: bytes) -> None:
        self._http.feed_data(data)

    def seen(self) -> Seen:
        status = b"%d" % self._http.get_status_code()
        return Seen(status, self._revision, b"".join(self._body), self._last)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-modelserve-revision":
            self._revision = value

    def on_body(self, body: bytes) -> None:
        if self._http.get_status_code() != 200:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self.complete = True
        self._last = not self._http.should_keep_alive()
