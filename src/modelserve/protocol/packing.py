"""Bodies that come or go packed: the content encodings gzip, deflate and zstd.

Unpacking gives piece after piece, so that its caller can stop: a kilobyte may unpack to a megabyte and more.
Beyond the limit nothing is unpacked but the rest of one piece; of zstd at most as much as the limit again.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator

from modelserve.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia
from modelserve.protocol import values
from modelserve.protocol.payload import Payload

try:
    import zstandard
except ImportError:  # the extra "zstd" is not installed
    zstandard = None  # type: ignore[assignment]

FIRST_PIECE = 64 * 1024
"""Bytes of the first piece, about: few enough to unpack on the event loop."""
PIECE = 1024 * 1024
"""Bytes of every other piece, about."""
SMALLEST = 4096
"""Bytes from which an answer is packed for a client that takes it so: what is smaller fits three packets."""
_LEVEL = 1
"""The quickest: numbers as text shrink to half at any level, and the client waits."""
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZSTD_WINDOW = 8 * 1024 * 1024
"""Bytes of memory that a zstd frame may ask for; RFC 9659 lets no web client ask for more."""
_ZSTD_GROWTH = 32 * 1024
"""Bytes to which one byte of zstd can unpack: four of them are the smallest block, 128 KiB the largest."""
_ZSTD_STEP = 32


def accepted() -> tuple[str, ...]:
    """The encodings that a body may have."""
    return ("gzip", "deflate") if zstandard is None else ("gzip", "deflate", "zstd")


def require(encoding: str) -> str:
    """What a ``content-encoding`` header in lower case says; empty for none. Raises UnsupportedMedia."""
    if encoding in ("", "identity"):
        return ""
    if encoding == "x-gzip":
        return "gzip"
    if encoding not in accepted():
        hint = "; zstd needs pip install 'modelserve[zstd]' on the server" if encoding == "zstd" else ""
        wanted = f"send one of {', '.join(accepted())}, or the body as it is{hint}"
        raise UnsupportedMedia(f"content-encoding: got {values.shown(encoding)}; {wanted}")
    return encoding


def unpacked(body: bytes, encoding: str, limit: int) -> Iterator[bytes]:
    """The body in pieces, the first of about :data:`FIRST_PIECE` bytes, the others of :data:`PIECE`.

    Raises PayloadTooLarge on the piece that passes ``limit`` bytes in all, InvalidInput for what is broken,
    cut short or followed by something else.
    """
    steps = _zstd(body, limit) if encoding == "zstd" else _zlib(body, encoding)
    total = 0
    try:
        for piece in steps:
            total += len(piece)
            if total > limit:
                raise PayloadTooLarge(f"body: unpacks to more than {limit} bytes, the most that is taken")
            if piece:
                yield piece
    except _BROKEN as error:
        raise InvalidInput(f"body: not valid {encoding}: {error}") from None


_BROKEN: tuple[type[Exception], ...] = (zlib.error, *((zstandard.ZstdError,) if zstandard else ()))


def _zlib(body: bytes, encoding: str) -> Iterator[bytes]:
    """Pieces of exactly the size asked for, by zlib's own bound."""
    stream = zlib.decompressobj(_GZIP if encoding == "gzip" else _deflate_bits(body))
    piece = stream.decompress(body, FIRST_PIECE)
    while piece:
        yield piece
        piece = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, PIECE)
    _check_end(stream.eof, len(stream.unused_data), encoding)


def _deflate_bits(body: bytes) -> int:
    """Deflate means the format of zlib (RFC 9110, 8.4.1.2); some clients send it without its frame."""
    framed = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _ZLIB if framed else _RAW


def _zstd(body: bytes, limit: int) -> Iterator[bytes]:
    """The library does not bound what a call unpacks; so it gets no more than can fill the limit."""
    stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    position, wanted, step = 0, FIRST_PIECE, _ZSTD_STEP
    while position < len(body) and not stream.eof:
        piece = bytearray()
        while len(piece) < wanted and position < len(body) and not stream.eof:
            piece += stream.decompress(body[position : position + step])
            position += step
        yield bytes(piece)
        wanted, step = PIECE, max(_ZSTD_STEP, limit // _ZSTD_GROWTH)
    _check_end(stream.eof, len(stream.unused_data) + max(0, len(body) - position), "zstd")


def _check_end(complete: bool, behind: int, encoding: str) -> None:
    if not complete:
        raise InvalidInput(f"body: the {encoding} data is cut short")
    if behind:
        raise InvalidInput(f"body: {behind} bytes follow the {encoding} data; send one stream")


def packed(payload: Payload, accept: str) -> Payload:
    """The payload as a client with this ``accept-encoding`` header likes it best."""
    encoding = chosen(accept)
    if not encoding or len(payload.body) < SMALLEST:
        return payload
    headers = (*payload.headers, (b"content-encoding", encoding.encode()))
    return Payload(_PACKERS[encoding](payload.body), payload.content_type, headers)


def chosen(accept: str) -> str:
    """The encoding that an ``accept-encoding`` header likes best, of equals the quickest; empty for none."""
    if not accept:
        return ""
    weights = dict(map(_weight, accept.lower().split(",")))
    weights.setdefault("gzip", weights.get("*", 0.0))  # what whoever takes anything surely takes
    liked = {name: weights.get(name, 0.0) for name in _PREFERRED if name in accepted()}
    best = max(liked, key=liked.__getitem__)
    return best if liked[best] > 0 and liked[best] >= weights.get("identity", 0.0) else ""


def _weight(entry: str) -> tuple[str, float]:
    """``"gzip;q=0.5"`` -> ``("gzip", 0.5)``; a weight that is none counts as 0."""
    name, _, parameter = entry.partition(";")
    told = parameter.strip().removeprefix("q=") or "1"
    try:
        weight = float(told)
    except ValueError:
        weight = 0.0
    return name.strip(), weight if math.isfinite(weight) else 0.0


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL, _GZIP)


def _deflate(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL)


def _zstandard(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


_PREFERRED = ("zstd", "gzip", "deflate")
_PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "deflate": _deflate, "zstd": _zstandard}
