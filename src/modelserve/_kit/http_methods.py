"""HEAD wherever GET is answered (RFC 9110, 9.1), and what a refusal says is allowed (10.2.1)."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HeadAsGet:
    """ASGI middleware: the application is asked to GET, and of its answer the body is left out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def tell(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return tell


def allowed(routes: Iterable[BaseRoute], scope: Scope) -> str:
    """The value of an ``allow`` header: every method that one of the routes takes at the path of ``scope``,
    behind :class:`HeadAsGet`."""
    asked = {key: scope[key] for key in ("type", "path", "root_path") if key in scope}
    known = tuple(routes)
    found = [
        method
        for method in _METHODS
        if any(route.matches(asked | {"method": method})[0] is Match.FULL for route in known)
    ]
    return ", ".join([*found[:1], "HEAD", *found[1:]] if "GET" in found else found)
