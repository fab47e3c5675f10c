"""Bodies that come packed: gzip, in members (RFC 1952), deflate, and zstd, in frames (RFC 8878).

Unpacking gives piece after piece, so that its caller can stop: a kilobyte may unpack to a megabyte and more.
Beyond the limit nothing is unpacked but the rest of one piece; of zstd at most as much as the limit again.
Work and memory grow with what is unpacked and with what was sent, never with their product.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

from modelserve.errors import InvalidInput, PayloadTooLarge

try:
    import zstandard
except ImportError:  # the extra "zstd" is not installed
    zstandard = None  # type: ignore[assignment]

AT_ONCE = 64 * 1024
"""Bytes of a packed body up to which its first piece is made on the event loop: some of a body's bytes may
unpack to nothing, and must be read all the same."""
FIRST_PIECE = 64 * 1024
"""Bytes of the first piece, about; for :data:`AT_ONCE`."""
PIECE = 1024 * 1024
"""Bytes of every other piece, about."""
PARTS = 100
"""Members or frames that a body may have, beside one for every :data:`PART` bytes that it unpacks to. A part
costs some 2 us, however empty it is."""
PART = 256
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_FIRST_STEP, _STEP = 4 * 1024, 64 * 1024
"""Bytes of a gzip member that are fed at a time, first and then: what follows its end is copied each time."""
_ZSTD_WINDOW = 8 * 1024 * 1024
"""Bytes of memory that a zstd frame may ask for; RFC 9659 lets no web client ask for more."""
_ZSTD_GROWTH = 32 * 1024
"""Bytes to which one byte of zstd can unpack: four of them are the smallest block, 128 KiB the largest."""
_ZSTD_STEP = 32
_NOT_ZERO = re.compile(rb"[^\0]")
_BEGINS = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),  # a frame, or one to be skipped
}
"""How one more part begins."""


def unpacked(body: bytes, encoding: str, limit: int) -> Iterator[bytes]:
    """The body in pieces, the first of about :data:`FIRST_PIECE` bytes, the others of :data:`PIECE`; only the
    last is shorter.

    Raises PayloadTooLarge on the piece that passes ``limit`` bytes in all, or for too many empty parts;
    InvalidInput for what is broken, cut short or followed by something else.
    """
    chunks = _Unpacking(body, encoding, limit)
    piece, total, wanted = bytearray(), 0, FIRST_PIECE
    try:
        for chunk in chunks.read():
            piece += chunk
            if total + len(piece) > limit:
                raise PayloadTooLarge(f"body: unpacks to more than {limit} bytes, the most that is taken")
            if len(piece) >= wanted:
                yield bytes(piece)
                total, wanted = total + len(piece), PIECE
                piece = bytearray()
    except _BROKEN as error:
        raise InvalidInput(f"body: not valid {encoding}: {error}") from None
    if piece:
        yield bytes(piece)


_BROKEN: tuple[type[Exception], ...] = (zlib.error, *((zstandard.ZstdError,) if zstandard else ()))


class _Unpacking:
    """The parts of one body, each unpacked in small steps."""

    def __init__(self, body: bytes, encoding: str, limit: int) -> None:
        self._body, self._view, self._encoding, self._limit = body, memoryview(body), encoding, limit
        self._place = self._made = self._parts = 0

    def read(self) -> Iterator[bytes]:
        """Chunks of at most :data:`FIRST_PIECE` bytes, of zstd about; some are empty."""
        part = {"gzip": self._gzip, "deflate": self._deflate, "zstd": self._zstd}[self._encoding]
        more = True
        while more:
            self._parts += 1
            if self._parts > PARTS + self._made // PART:
                told = f"body: {self._parts} parts of {self._encoding} in {self._made} bytes"
                raise PayloadTooLarge(f"{told}; send fewer and larger ones")
            for chunk in part():
                self._made += len(chunk)
                yield chunk
            more = self._place < len(self._body) and self._another()

    def _another(self) -> bool:
        """Whether a part follows. Raises InvalidInput for anything else."""
        if self._encoding == "gzip" and self._body[self._place] == 0:  # padding, as of a tape
            found = _NOT_ZERO.search(self._body, self._place)
            if found is None:
                return False
            self._place = found.start()
        begins = _BEGINS.get(self._encoding)
        if begins is None or begins.match(self._body, self._place) is None:
            behind = len(self._body) - self._place
            raise InvalidInput(f"body: {behind} bytes follow the {self._encoding} data; send nothing else")
        return True

    def _gzip(self) -> Iterator[bytes]:
        return self._inflated(_GZIP)

    def _deflate(self) -> Iterator[bytes]:
        """Deflate means the format of zlib (RFC 9110, 8.4.1.2); some clients send it without its frame."""
        head = self._body[:2]
        framed = len(head) > 1 and head[0] & 0x0F == 8 and (head[0] << 8 | head[1]) % 31 == 0
        return self._inflated(_ZLIB if framed else _RAW)

    def _inflated(self, bits: int) -> Iterator[bytes]:
        """Chunks of at most the size asked for, by zlib's own bound."""
        stream, step = zlib.decompressobj(bits), _FIRST_STEP
        while not stream.eof:
            fed = self._view[self._place : self._place + step]
            chunk = stream.decompress(fed, FIRST_PIECE)
            self._place += len(fed) - len(stream.unused_data if stream.eof else stream.unconsumed_tail)
            self._require_more(fed, chunk, stream)
            yield chunk
            step = _STEP

    def _zstd(self) -> Iterator[bytes]:
        """The library does not bound what a call unpacks; so it gets no more than can fill the limit."""
        stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        while not stream.eof:
            hurried = self._made < FIRST_PIECE and len(self._body) <= AT_ONCE
            step = _ZSTD_STEP if hurried else max(_ZSTD_STEP, self._limit // _ZSTD_GROWTH)
            fed = self._view[self._place : self._place + step]
            chunk = stream.decompress(fed)
            self._place += len(fed) - len(stream.unused_data)
            self._require_more(fed, chunk, stream)
            yield chunk

    def _require_more(self, fed: memoryview, chunk: bytes, stream: Any) -> None:
        if not fed and not chunk and not stream.eof:
            raise InvalidInput(f"body: the {self._encoding} data is cut short")
