"""Reading a request's body up to a bound, whatever its head says of its length; a byte order mark is no part
of it."""

from __future__ import annotations

from fastapi import Request

from modelserve.errors import PayloadTooLarge
from modelserve.protocol.values import BOM


async def read_at_most(request: Request, most: int, advice: str) -> bytes:
    """The whole body. Raises PayloadTooLarge, with ``advice``, once it has more than ``most`` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise PayloadTooLarge(f"the body is larger than {most} bytes: {advice}")
    return bytes(body).removeprefix(BOM)
