"""uvicorn's HTTP protocol, with a short way for inference calls.

A small call is handed to the application when all of it is here, and runs at once, in the turn of the event
loop that read it: it becomes a task only if it has to wait for something. Head and body of its answer leave
in one piece, which is cheaper, and safer: a proxy passes a head on as soon as it has it, and can then no
longer try another server. Everything else goes uvicorn's own way, written in one piece as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelserve._kit.eager import begin
from modelserve._kit.http_heads import Refusal, coding_trouble, host_trouble
from modelserve.protocol import faults
from modelserve.serving.writes import BoundedFlow, JoinedWrites, Unread

SMALL = 64 * 1024
"""Bytes of a body up to which a call is small; of a larger one the head is looked at first."""
HEAD = 64 * 1024
"""Bytes in a row that belong to a request and not to its body, beyond those that one reading of the socket
gives (uvloop: 256 KiB): the parser itself has no bound on heads."""
FRESH = 1.0
"""Seconds for which a connection that was just opened is expected to be asked something."""
KEEP_ALIVE = 3700.0
"""Seconds that an idle connection is kept: longer than any proxy keeps its own (the front door 4 s, Envoy by
default an hour), so that none is closed here just as a proxy sends a request over it."""
Answer = tuple[bytes, bool]
"""All of a response, and whether its connection ends with it."""
_MALFORMED: Refusal = HTTPStatus.BAD_REQUEST, "the request is not well-formed HTTP/1.1"


class _AfterTheEnd(Exception):
    """A request came over a connection that ends with the one before it."""


class _NoProxy(Exception):
    """A client wants to be connected with somebody else."""


class _Refused(Exception):
    """The parser finds nothing wrong with a head, but it is not taken."""


class Protocol(HttpToolsProtocol):
    """For ``uvicorn.Config(http=...)``, whose application is a :class:`~modelserve.serving.edge.Edge`."""

    cycle: Any
    transport: Any

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._edge: Any = self.app
        self._parts: list[bytes] | None = None
        self._length = -1
        self._since, self._bare = 0.0, -1
        self._receiving = self._begun = self._long_way = self._last = False
        self._call: _Call | None = None
        self._unread = Unread()
        self._hosts: list[bytes] = []
        self._sound: list[bytes] | None = None
        """The Host of the request before this one: a client rarely changes it."""
        self._codings: list[bytes] = []
        self._wrong = _MALFORMED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        joined = JoinedWrites(cast(asyncio.Transport, transport), self.loop)
        super().connection_made(cast(asyncio.Transport, joined))
        self.flow = BoundedFlow(self.transport, self.pipeline)
        self._since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        call = self._call
        if call is not None and call is not self.cycle and not call.response_complete:
            call.disconnected = True  # a request waits behind it, and uvicorn knows of that one alone
            call.set()
        super().connection_lost(exc)

    @property
    def _busy(self) -> bool:
        """Whether a request that was handed on is not yet answered to its end."""
        return self.cycle is not None and not self.cycle.response_complete

    def check(self, now: float, limit: float) -> None:
        """Close the connection if its client takes too long; called every now and then.

        ``limit``: seconds in which a request must have arrived, and something of an answer been taken.
        """
        waited = now - self._since
        if self._unread.seconds(self.transport.get_write_buffer_size(), now) > limit:
            self.transport.abort()
        elif self._receiving and waited > limit and not self.flow.read_paused:
            self._break_off(HTTPStatus.REQUEST_TIMEOUT, f"the request was not all here after {limit:g} s")
        elif waited > KEEP_ALIVE:
            self._close_idle()

    def shutdown(self) -> None:
        """Close the connection, after the request that is on its way or being answered."""
        age = time.monotonic() - self._since
        if self._receiving and not self._begun:
            self._last = True
        elif self.cycle is None and age < FRESH:
            self._last = True
            self.loop.call_later(FRESH - age, self._close_idle)
        else:
            super().shutdown()

    def _close_idle(self) -> None:
        if not self._receiving and not self._busy:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.data_received(self._declined() + data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._break_off(*self._wrong)
            return
        if self._receiving:
            self._bare = 0 if self._bare < 0 else self._bare + len(data)
            if self._bare > HEAD:
                status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self._break_off(status, f"the request's head is larger than the {HEAD} bytes that are taken")

    def _declined(self) -> bytes:
        """The head of a request without its wish for another protocol, for which the parser skips its body:
        a client that offers HTTP/2, as Java's does, goes on with HTTP/1.1 if it isn't taken up."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([b"%b %b HTTP/%b" % (method, self.url, version), *lines, b"", b""])

    def _break_off(self, status: HTTPStatus, message: str) -> None:
        """End the connection because of the request that is being received. Those before it are answered
        first, and none of them with what is said of this one."""
        if self._busy and not self._begun:
            self.flow.pause_reading()
            self.cycle.keep_alive = False
        elif not self.transport.is_closing():
            if not self._begun or self._unanswered:
                self.transport.write(_refusal(status, message))
            self.transport.close()

    @property
    def _unanswered(self) -> bool:
        """Whether the request that was handed on is the next to be answered, and nothing was said so far."""
        return self._busy and not self.pipeline and not self.cycle.response_started

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        if self.transport.is_closing():
            raise _AfterTheEnd
        self.url, self.headers = b"", []
        self.expect_100_continue = False
        self._length, self._parts, self._long_way = -1, None, False
        self._hosts, self._codings = [], []
        self._since, self._receiving, self._begun, self._bare = time.monotonic(), True, False, -1

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._begun:
            return  # a trailer, which nobody looks for
        name = name.lower()
        if name == b"content-length":
            self._length = int(value)
        elif name == b"host":
            self._hosts.append(value)
        elif name == b"transfer-encoding":
            self._codings.append(value)
        elif name == b"content-encoding" or (name == b"accept" and b"event-stream" in value):
            self._long_way = True
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._codings or self._hosts != self._sound:
            self._look_closer()
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # such a client knows no interim answers: RFC 9110, 10.1.1
        if self._goes_short_way():
            self._parts = []
            return
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _NoProxy
            return  # it comes again without that
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()
        self._begun = True
        if self._last:
            self.cycle.keep_alive = False

    def _look_closer(self) -> None:
        """Refuse a head whose Host or whose framing is in doubt."""
        version = self.parser.get_http_version()
        wrong = coding_trouble(self._codings, version) or host_trouble(self._hosts, version)
        if wrong is not None:
            self._wrong = wrong
            raise _Refused
        self._sound = self._hosts or None

    def _goes_short_way(self) -> bool:
        if not 0 <= self._length <= SMALL or self._long_way or self.expect_100_continue:
            return False
        if self._busy:
            return False
        if self.parser.get_method() != b"POST" or self.parser.should_upgrade():
            return False
        return bool(self._edge.takes_whole(self.url))

    def on_body(self, body: bytes) -> None:
        self._bare = -1
        if self._parts is None:
            super().on_body(body)
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        begun, self._receiving, self._begun = self._begun, False, False
        if self._parts is None:
            if begun:
                super().on_message_complete()
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = None
        self.cycle = self._call = call = _Call(self)
        call.keep_alive = call.keep_alive and not self._last
        call.start(self._edge.whole(self.url.decode("ascii"), self.headers, body, call.keep_alive))

    def on_response_complete(self) -> None:
        self._since = time.monotonic()
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()


class _Call:
    """One small call and its answer, in the place of uvicorn's request-response cycle."""

    __slots__ = ("_protocol", "_task", "disconnected", "keep_alive", "response_complete")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        parser = protocol.parser
        self.keep_alive = bool(parser.should_keep_alive()) and parser.get_http_version() != "1.0"
        self.response_complete = self.disconnected = False
        self._task: asyncio.Task[None] | None = None

    @property
    def message_event(self) -> _Call:
        """uvicorn sets it when the connection is lost."""
        return self

    def set(self) -> None:
        if self.disconnected and self._task is not None:
            self._task.cancel()

    def start(self, answer: Coroutine[Any, Any, Answer]) -> None:
        """Run the call as far as it goes without waiting."""
        self._task = begin(self._run(answer), self._protocol.loop)
        if self._task is not None:
            tasks = self._protocol.tasks
            tasks.add(self._task)
            self._task.add_done_callback(tasks.discard)

    async def _run(self, answer: Coroutine[Any, Any, Answer]) -> None:
        protocol = self._protocol
        try:
            content, close = await answer
            if protocol.flow.write_paused and not self.disconnected:
                await protocol.flow.drain()
        except BaseException:
            protocol.transport.close()
            raise
        self.response_complete = True
        if self.disconnected or protocol.transport.is_closing():
            return
        protocol.transport.write_now(content)
        if close or not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


def _refusal(status: HTTPStatus, message: str) -> bytes:
    """All of a response to a request that is not one, after which the connection ends."""
    body = faults.plain(message, _CODES.get(status, "invalid_input"), status is HTTPStatus.REQUEST_TIMEOUT)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-type: application/json\r\n"
    )
    return b"%bcontent-length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


_CODES = {HTTPStatus.REQUEST_TIMEOUT: "request_timeout"}
