"""Errors as the server says them, rebuilt as the classes of :mod:`modelserve.errors`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import orjson

from modelserve.client.messages import Reply
from modelserve.errors import ClientFault, ModelServeError, ServerFault

SHOWN = 200
"""Characters of an answer that is no error of ours which the message repeats."""
RETRYABLE = (429, 502, 503, 504)
"""Statuses at which trying again can help, where an answer does not say (another proxy gave it)."""


class BadAnswer(ServerFault):
    """The server's answer makes no sense: it is not what the protocol says, or not from a ModelServe."""

    code, status = "bad_answer", 502


def _tree(base: type[ModelServeError]) -> Iterator[type[ModelServeError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _tree(kind)


_BY_CODE = {
    kind.code: kind for kind in _tree(ModelServeError) if kind.__module__ == ModelServeError.__module__
}


def fault(reply: Reply) -> ModelServeError | None:
    """The error that an answer tells, or None for a good one.

    A code that this version does not know becomes a ClientFault or ServerFault with that code.
    """
    if 200 <= reply.status < 300:
        return None
    told = _fields(reply.body)
    base = ClientFault if reply.status < 500 else ServerFault
    code = str(told.get("code", base.code))
    message = str(told.get("error") or told.get("detail") or _unworded(reply))
    error = _BY_CODE.get(code, base)(message, retry_after=_seconds(reply.headers.get("retry-after", "")))
    error.code, error.status = code, reply.status
    error.retryable = told["retryable"] is True if "retryable" in told else reply.status in RETRYABLE
    error.request_id = reply.headers.get("x-request-id")
    error.revision = reply.headers.get("x-modelserve-revision")
    return error


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _unworded(reply: Reply) -> str:
    shown = reply.body[:SHOWN].decode("utf-8", "replace")
    return f"the server answered with status {reply.status}: {shown}"


def _seconds(told: str) -> float | None:
    """``retry-after`` in seconds; a date, or what is malformed, counts as not said."""
    try:
        seconds = float(told)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
