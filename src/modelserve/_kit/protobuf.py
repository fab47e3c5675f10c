"""Protocol Buffers' wire format, read field by field: what is not asked for is skipped, not copied.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Kinds of fields; the two others are the groups that nobody writes any more."""


class NotProtobuf(ValueError):
    """The bytes are no message, or end too early."""


def fields(message: memoryview, wanted: frozenset[int]) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field of bytes (texts, messages) whose number is wanted, in order.

    Raises NotProtobuf.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            length, at = _varint(message, at)
            if at + length > end:
                raise NotProtobuf("ends inside of a field")
            if number in wanted:
                yield number, message[at : at + length]
            at += length
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise NotProtobuf(f"has a field of kind {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at ``at``, and where it ends."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise NotProtobuf("ends inside of a number, or has one that is too long")
