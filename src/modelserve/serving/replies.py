"""Responses as ASGI messages."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Send

from modelserve.errors import ModelServeError
from modelserve.protocol import faults, packing
from modelserve.protocol.payload import Payload
from modelserve.serving.body import linger

LARGE = 64 * 1024
"""Bytes of an answer from which it is packed on a thread: a megabyte takes some 10 ms."""


async def send_payload(send: Send, payload: Payload, status: int = 200) -> None:
    """A whole response."""
    await _start(send, status, payload)
    await send({"type": "http.response.body", "body": payload.body})


async def packed(payload: Payload, accept: str) -> Payload:
    """The payload, packed as the ``accept-encoding`` header likes it; a large one on a thread."""
    if len(payload.body) < packing.SMALLEST:
        return payload
    if len(payload.body) < LARGE:
        return packing.packed(payload, accept)
    return await asyncio.to_thread(packing.packed, payload, accept)


def fault_payload(error: ModelServeError) -> tuple[int, Payload]:
    """Status and payload of an error."""
    return error.status, Payload(faults.body(error), headers=faults.headers(error))


async def send_fault(send: Send, error: ModelServeError) -> None:
    status, payload = fault_payload(error)
    await send_payload(send, payload, status)


async def refuse_body(receive: Receive, send: Send, error: ModelServeError) -> None:
    """Answer while the client still sends, then read on for a moment so that it gets to see the answer."""
    headers = (*faults.headers(error), (b"connection", b"close"))
    payload = Payload(faults.body(error), headers=headers)
    await _start(send, error.status, payload)
    await send({"type": "http.response.body", "body": payload.body, "more_body": True})
    await linger(receive)
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, status: int, payload: Payload) -> None:
    kind, length = (b"content-type", payload.content_type), (b"content-length", b"%d" % len(payload.body))
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *payload.headers]})
