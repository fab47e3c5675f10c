"""UBJSON, read with every length checked against what is there (https://ubjson.org, draft 12).

Typed arrays come back as numpy arrays that look into the given bytes; everything else as with ``json``.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

MAX_DEPTH = 64

_NUMBERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_CONSTANTS = {b"T": True, b"F": False, b"Z": None}
_END = object()


class NotUbjson(ValueError):
    """The bytes are no UBJSON document, or end too early; the message says where."""


def loads(content: bytes) -> Any:
    """The one value that ``content`` holds. Raises NotUbjson."""
    reader = _Reader(content)
    value = reader.value(reader.take(1), 0)
    if reader.place != len(content):
        raise NotUbjson(f"{len(content) - reader.place} bytes follow its end")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, count: int) -> bytes:
        piece = self.content[self.place : self.place + count]
        if count < 0 or len(piece) < count:
            raise NotUbjson(f"it ends at byte {len(self.content)}, in the middle of a value")
        self.place += count
        return piece

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise NotUbjson(f"it is nested deeper than {MAX_DEPTH} levels")
        if marker in _NUMBERS:
            return self.number(marker)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in (b"S", b"H"):
            return self.text(self.take(1))
        if marker == b"C":
            return self.take(1).decode("ascii", "replace")
        if marker == b"[":
            return self.array(depth + 1)
        if marker == b"{":
            return self.object(depth + 1)
        raise NotUbjson(f"byte {self.place - 1} is {marker!r}, which begins no value")

    def number(self, marker: bytes) -> Any:
        code = ">" + _NUMBERS[marker]
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def length(self, marker: bytes) -> int:
        size = self.number(marker) if marker in _NUMBERS else -1
        if not isinstance(size, int) or size < 0:
            raise NotUbjson(f"byte {self.place - 1} begins no length")
        return size

    def text(self, marker: bytes) -> str:
        return self.take(self.length(marker)).decode("utf-8", "replace")

    def array(self, depth: int) -> Any:
        kind, count = self._header()
        if kind in _NUMBERS and count is not None:
            dtype = np.dtype(">" + _NUMBERS[kind])
            return np.frombuffer(self.take(count * dtype.itemsize), dtype)
        found: list[Any] = []
        while (marker := self._next(b"]", kind, count, len(found))) is not _END:
            found.append(self.value(marker, depth))
        return found

    def object(self, depth: int) -> dict[str, Any]:
        kind, count = self._header()
        found: dict[str, Any] = {}
        entries = 0
        while (marker := self._next(b"}", None, count, entries)) is not _END:
            name = self.text(marker)
            found[name] = self.value(kind or self.take(1), depth)
            entries += 1
        return found

    def _header(self) -> tuple[bytes | None, int | None]:
        """The optional type and count of a container."""
        kind, count = None, None
        if self.content[self.place : self.place + 1] == b"$":
            kind = self.take(2)[1:]
        if self.content[self.place : self.place + 1] == b"#":
            self.take(1)
            count = self.length(self.take(1))
        if kind is not None and count is None:
            raise NotUbjson(f"byte {self.place}: a container with a type lacks its count")
        if kind in _CONSTANTS:
            raise NotUbjson(f"byte {self.place}: a container of constants has no content to count")
        return kind, count

    def _next(self, end: bytes, kind: bytes | None, count: int | None, done: int) -> Any:
        """The marker of the next entry, or _END."""
        if count is not None and done >= count:
            return _END
        marker = kind or self.take(1)
        while marker == b"N":
            marker = self.take(1)
        return _END if count is None and marker == end else marker
