"""The content encodings gzip, deflate and zstd: which a client may use, and answers packed as it likes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

from modelserve.errors import UnsupportedMedia
from modelserve.protocol import values
from modelserve.protocol.payload import Payload

try:
    import zstandard
except ImportError:  # the extra "zstd" is not installed
    zstandard = None  # type: ignore[assignment]

SMALLEST = 4096
"""Bytes from which an answer is packed for a client that takes it so: what is smaller fits three packets."""
_LEVEL = 1
"""The quickest: numbers as text shrink to half at any level, and the client waits."""


def accepted() -> tuple[str, ...]:
    """The encodings that a body may have."""
    return ("gzip", "deflate") if zstandard is None else ("gzip", "deflate", "zstd")


def require(encoding: str) -> str:
    """What a ``content-encoding`` header in lower case says; empty for none. Raises UnsupportedMedia.

    It is a list (RFC 9110, 8.4), of which one entry may do something: nobody needs to pack twice.
    """
    told = [entry for part in encoding.split(",") if (entry := part.strip()) not in ("", "identity")]
    if not told:
        return ""
    found = "gzip" if told[0] == "x-gzip" else told[0]
    if len(told) > 1 or found not in accepted():
        missing = found == "zstd" and found not in accepted()
        hint = "; zstd needs pip install 'modelserve[zstd]' on the server" if missing else ""
        wanted = f"send one of {', '.join(accepted())}, or the body as it is{hint}"
        error = UnsupportedMedia(f"content-encoding: got {values.shown(encoding)}; {wanted}")
        error.accepts = ", ".join(accepted())
        raise error
    return found


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
    return zlib.compress(body, _LEVEL, 16 + zlib.MAX_WBITS)


def _deflate(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL)


def _zstandard(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


_PREFERRED = ("zstd", "gzip", "deflate")
_PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "deflate": _deflate, "zstd": _zstandard}
