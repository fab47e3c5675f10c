"""The outermost layer: every answer says who gave it, and no defect gets out as anything but JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NoReturn, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelserve.errors import ModelServeError, NotFound, Unavailable
from modelserve.protocol import faults
from modelserve.protocol.payload import Payload
from modelserve.serving.exchange import Exchange
from modelserve.serving.identity import Identity
from modelserve.serving.logs import EventLog
from modelserve.serving.replies import fault_payload, send_fault
from modelserve.serving.segments import Segments

_KEY = "modelserve.exchange"


def exchange_of(scope: Scope) -> Exchange:
    """What the edge read from the request's headers."""
    exchange: Exchange = scope[_KEY]
    return exchange


class WholeCalls(Protocol):
    """A route that answers a call of which everything is here, without the ASGI messages in between."""

    takes_whole: bool

    async def whole(self, exchange: Exchange, names: dict[str, str], body: bytes) -> tuple[int, Payload]: ...


Find = Callable[[str], tuple[Any, dict[str, Any]] | None]
"""From a path to the route that answers whole calls, and the names in the path."""


class Edge:
    """ASGI middleware, and the short way for whole calls; ``closing`` is asked for each answer whether its
    connection should end with it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        identity: Identity,
        timeout: float,
        find: Find,
        closing: Callable[[], bool],
        log: EventLog,
        segments: Segments,
    ) -> None:
        self._app, self._timeout, self._closing, self._log = app, timeout, closing, log
        self._identity, self._find, self._segments = identity, find, segments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = scope[_KEY] = Exchange.of(scope["headers"], self._timeout, self._identity)
        if self._segments.asked:
            exchange.division = self._segments.divide(scope["headers"])
        reply = _Reply(send, exchange, closing=self._closing())
        try:
            await self._app(scope, receive, reply)
        except asyncio.CancelledError:
            if reply.started or not self._closing():
                raise
            await send_fault(reply, _stopped())
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a library's panic is no Exception
            told = self._defect(error, exchange, scope["path"])
            if not reply.started:
                await send_fault(reply, told)

    def takes_whole(self, url: bytes) -> bool:
        """Whether this is the path of an inference call, spelt plainly."""
        if b"%" in url or b"?" in url:
            return False
        found = self._find(url.decode("ascii", "replace"))
        return found is not None and bool(found[0].takes_whole)

    async def whole(
        self, path: str, headers: list[tuple[bytes, bytes]], body: bytes, keep_alive: bool
    ) -> tuple[bytes, bool]:
        """All of the response to a call, and whether the connection ends with it."""
        exchange = Exchange.of(headers, self._timeout, self._identity)
        if self._segments.asked:
            exchange.division = self._segments.divide(headers)
        try:
            route, names = self._find(path) or _no_route(path)
            status, payload = await route.whole(exchange, names, body)
        except asyncio.CancelledError:
            if not self._closing():
                raise
            status, payload = fault_payload(_stopped())
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # as above
            status, payload = fault_payload(self._defect(error, exchange, path))
        close = self._closing() or not keep_alive
        return _response(status, payload, exchange, close), close

    def _defect(self, error: BaseException, exchange: Exchange, path: str) -> ModelServeError:
        self._log.error("internal_error", error, request_id=exchange.request_id, path=path)
        return faults.told(error, exchange.request_id)


def _no_route(path: str) -> NoReturn:
    raise NotFound(f"{path}: no such route")


def _stopped() -> Unavailable:
    return Unavailable("the server stopped before the answer was there")


_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


_HEAD = b"%bdate: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%bx-request-id: %b\r\n"


def _response(status: int, payload: Payload, exchange: Exchange, close: bool) -> bytes:
    head = _HEAD % (
        _STATUS_LINES[status], _now(), payload.content_type, len(payload.body), exchange.identity.block,
        exchange.request_id.encode(),
    )  # fmt: skip
    for name, value in payload.headers:
        head += b"%b: %b\r\n" % (name, value)
    return b"".join((head, b"connection: close\r\n\r\n" if close else b"\r\n", payload.body))


class _Reply:
    """An ASGI ``send`` that adds headers and knows whether the answer has begun."""

    __slots__ = ("_closing", "_exchange", "_send", "started")

    def __init__(self, send: Send, exchange: Exchange, *, closing: bool) -> None:
        self._send, self._exchange, self._closing, self.started = send, exchange, closing, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            exchange = self._exchange
            request_id = (b"x-request-id", exchange.request_id.encode())
            message["headers"] = [*message.get("headers", ()), *exchange.identity.headers, request_id]
            if self._closing:
                message["headers"].append((b"connection", b"close"))
        await self._send(message)


class _Clock:
    """The time as HTTP writes it, made anew each second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second, self._text = 0, b""

    def __call__(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True).encode()
        return self._text


_now = _Clock()
