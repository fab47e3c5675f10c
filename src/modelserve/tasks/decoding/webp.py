"""WebP: chunks that no pixel depends on are left out before a decoder sees them.

A decoder refuses a file whose last chunk is cut, or that has another length than its first bytes say, where
all pixels are there. Source: RFC 9649.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from modelserve.tasks.decoding.parts import Parts

SIGNATURE = b"RIFF"
_FIRST = 12
"""Where the first chunk begins, behind RIFF, the length of all that follows it, and WEBP."""
_HEAD = struct.Struct("<4sI")
_FLAGS = _FIRST + _HEAD.size
"""Where VP8X says what the file holds."""
_TELLING = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
"""Chunks that tell of colours and the orientation, with the flags that say that they are there."""
_ALPHA = 0x10
"""The flag of a picture with transparency, which a chunk before it may hold."""
_PICTURES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
_NEEDED = _PICTURES | {b"VP8X", b"ALPH", b"ANIM"}
_NAME = re.compile(rb"[A-Za-z0-9 ]{0,4}")
"""What a chunk is called; shorter where the file ends."""
_NEXT = re.compile(rb"VP8[ L]|ALPH|ANIM")


class _NotWholeError(Exception):
    """The chunks that pixels need can't be followed."""


def split(content: bytes) -> Parts:
    """Whatever is broken about pixels stays so: where their chunks are not whole, nothing is changed."""
    try:
        return _split(content)
    except _NotWholeError:
        return Parts(content)


def _split(content: bytes) -> Parts:
    flags = _flags(content)
    kept, told, start, end = list[bytes](), dict[bytes, bytes](), _FIRST, _FIRST
    for name, position, end in _chunks(content, flags):
        if name not in _NEEDED:
            kept.append(content[start:position])
            start = end
        if flags & _TELLING.get(name, 0):
            told.setdefault(name, content[position + _HEAD.size : end])
    right = not kept and end == _told_end(content)
    pixels = content if right else _file(b"".join([*kept, content[start:end]]))
    return Parts(pixels, told.get(b"EXIF"), told.get(b"XMP "))


def _flags(content: bytes) -> int:
    """What VP8X says; nothing where a file has none. Raises _NotWholeError for a file of another kind."""
    name, length = _head(content, _FIRST)
    extended = name == b"VP8X"
    if content[8:_FIRST] != b"WEBP" or not (extended or name in (b"VP8 ", b"VP8L")):
        raise _NotWholeError
    if extended and (length < 10 or len(content) <= _FLAGS):
        raise _NotWholeError
    return content[_FLAGS] if extended else 0


def _file(chunks: bytes) -> bytes:
    """A file of these chunks, which says that no others are in it."""
    at = _HEAD.size
    if chunks.startswith(b"VP8X"):
        chunks = b"".join([chunks[:at], bytes([chunks[at] & ~sum(_TELLING.values())]), chunks[at + 1 :]])
    pad = b"\0" * (len(chunks) % 2)
    return b"".join([_HEAD.pack(SIGNATURE, 4 + len(chunks) + len(pad)), b"WEBP", chunks, pad])


def _chunks(content: bytes, flags: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each. A colour profile, EXIF or XMP of a wrong length ends where a chunk begins
    that pixels need, and behind a picture with the file. Raises _NotWholeError."""
    position, seen = _FIRST, _Seen(flags)
    while position + _HEAD.size <= len(content) and not (seen.picture and position == _told_end(content)):
        name, length = _head(content, position)
        end = position + _HEAD.size + length + length % 2
        seen.pass_by(name)
        if not _is_whole(content, position + _HEAD.size + length, end):
            end = _mended(content, name, position, seen)
        yield name, position, end
        position = end
    if not seen.picture:
        raise _NotWholeError


class _Seen:
    """Whether a ``picture`` was passed by, and whether what is no chunk can only be the ``rest`` of one of a
    wrong length, and none with alpha under a broken name."""

    def __init__(self, flags: int) -> None:
        self.picture = self.rest = self._alpha = False
        self._plain = not flags & _ALPHA

    def pass_by(self, name: bytes) -> None:
        """Raises _NotWholeError for what stands between a picture and its alpha."""
        if self._alpha and name not in _NEEDED:
            raise _NotWholeError
        self._alpha = name == b"ALPH"
        self.picture |= name in _PICTURES
        told = name in _TELLING and (self.picture or self._plain)
        self.rest = name not in _NEEDED and (self.rest or told)


def _head(content: bytes, position: int) -> tuple[bytes, int]:
    if len(content) < position + _HEAD.size:
        raise _NotWholeError
    name, length = _HEAD.unpack_from(content, position)
    return name, length


def _told_end(content: bytes) -> int:
    return _HEAD.size + int.from_bytes(content[4:8], "little")


def _is_whole(content: bytes, data_end: int, end: int) -> bool:
    """Whether the data are there, and what follows is the end or the name of a chunk."""
    if data_end > len(content):
        return False
    return end == _told_end(content) or _NAME.fullmatch(content, end, end + 4) is not None


def _mended(content: bytes, name: bytes, position: int, seen: _Seen) -> int:
    """Where a chunk ends whose length is wrong. Raises _NotWholeError for one that pixels may need."""
    if name in _NEEDED or not (name in _TELLING or seen.rest):
        raise _NotWholeError
    if seen.picture:
        return len(content)
    found = _NEXT.search(content, position + _HEAD.size)
    if found is None:
        raise _NotWholeError
    return found.start()
