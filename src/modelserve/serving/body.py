"""Reading request bodies without letting one, or all that are held at the same time, grow past a limit."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

from starlette.types import Message, Receive

from modelserve.errors import Overloaded, PayloadTooLarge
from modelserve.protocol import binary, packing, unpacking
from modelserve.protocol.binary import Buffer
from modelserve.serving.exchange import Exchange

LINGER = 1.0
"""Seconds for which the rest of a refused body is read and thrown away, so that the client, which may read
only after it has written, gets the answer instead of a reset connection."""


ALIGNMENT = 16
"""Bytes; where memory for large bodies begins, and what the widest element needs."""
HELD = 4
"""Largest bodies that are held at the same time; small ones share the same bytes."""


class ClientGone(Exception):
    """The client went away; there is nobody to answer."""


class StillSending(PayloadTooLarge):
    """The body is too large, and was not read to its end."""


class Intake:
    """What all routes share: the bytes of bodies in memory, and whose turn it is to decode a large one."""

    def __init__(self, largest: int) -> None:
        self.largest = largest
        """Bytes of one body, at most."""
        self.free = HELD * largest
        """Bytes that may still be taken in."""
        self.decoding = asyncio.Semaphore(1)


class Held:
    """A call's bytes in memory, from the first that is read until the call is answered."""

    __slots__ = ("_intake", "_size")

    def __init__(self, intake: Intake) -> None:
        self._intake, self._size = intake, 0

    def require(self, size: int) -> None:
        """Raise Overloaded unless ``size`` more bytes may be held."""
        if size > self._intake.free:
            raise Overloaded("the bodies of other requests fill the memory for them", retry_after=1.0)

    def add(self, size: int) -> None:
        """Hold ``size`` more bytes. Raises Overloaded."""
        self.require(size)
        self._size += size
        self._intake.free -= size

    async def unpack(self, packed: bytes, encoding: str, limit: int) -> list[bytes]:
        """All pieces of a packed body, held as they come: the first of a small one is made on the event
        loop, all others on a thread, one body at a time. Raises what unpacking raises, and Overloaded."""
        pieces, found = unpacking.unpacked(packed, encoding, limit), []
        if len(packed) <= unpacking.AT_ONCE:
            found = [next(pieces, b"")]
            self.add(len(found[0]))
            if len(found[0]) < unpacking.FIRST_PIECE:
                return found + list(pieces)  # there is none, but the end is checked
        async with self._intake.decoding:
            while piece := await asyncio.to_thread(next, pieces, b""):
                self.add(len(piece))
                found.append(piece)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._intake.free += self._size


async def read_body(receive: Receive, exchange: Exchange, limit: int, held: Held) -> Buffer:
    """The whole body, unpacked.

    Raises UnsupportedMedia, PayloadTooLarge or Overloaded for what the headers already give away before
    reading, PayloadTooLarge or Overloaded on the first piece beyond a limit, InvalidInput for a body that
    can't be unpacked; ClientGone.
    """
    encoding = packing.require(exchange.content_encoding)
    chunks = await _read(receive, exchange.content_length or 0, limit, held)
    if encoding:
        chunks = await held.unpack(b"".join(chunks), encoding, limit)
    return _joined(chunks, exchange.json_length)


async def _read(receive: Receive, told: int, limit: int, held: Held) -> list[bytes]:
    if told > limit:
        raise _too_large(limit)
    held.require(told)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await _chunk(receive)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise _too_large(limit)
        held.add(len(chunks[-1]))
        more = message.get("more_body", False)
    return chunks


def _joined(chunks: list[bytes], json_length: str) -> Buffer:
    """One body; if tensors follow its JSON as bytes, they lie where numpy can use them without a copy."""
    if len(chunks) == 1:
        return chunks[0]
    length = binary.json_length(json_length)
    if length is None:
        return b"".join(chunks)
    askew = -length % ALIGNMENT
    return memoryview(b"".join([bytes(askew), *chunks]))[askew:]


async def _chunk(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(_words(limit))


def _too_large(limit: int) -> StillSending:
    return StillSending(_words(limit))


def _words(limit: int) -> str:
    return f"body: larger than {limit} bytes, which is the most that is taken"


async def linger(receive: Receive) -> None:
    """Read what a client still sends of a body that was refused, for a bounded time."""
    with contextlib.suppress(TimeoutError, ClientGone):
        async with asyncio.timeout(LINGER):
            while (await _chunk(receive)).get("more_body"):
                pass
