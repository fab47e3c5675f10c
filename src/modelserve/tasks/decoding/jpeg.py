"""JPEG: segments of applications that no pixel depends on are left out before a decoder sees them."""

from __future__ import annotations

from collections.abc import Iterator

from modelserve.tasks.decoding.parts import Parts

SIGNATURE = b"\xff\xd8\xff"
_COMMENT = 0xFE
_APP0, _APP1, _APP14, _APP15 = 0xE0, 0xE1, 0xEE, 0xEF
_OTHERS = frozenset({0x00, 0x01, *range(0xD0, 0xDB), 0xFF})
"""The marker of the pixels, and what is no segment with a length: none stands before them in a whole file."""
_COLOURS = {_APP0: (b"JFIF\0", 14), _APP14: (b"Adobe", 12)}
"""Segments that say how colours are stored, and the length from which a decoder heeds them."""
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


def split(content: bytes) -> Parts:
    """Up to the pixels; what follows, or what can't be followed, stays as it is."""
    kept, exif, xmp, start = [content[:2]], list[bytes](), None, 2
    for marker, position, data, end in _segments(content):
        if marker is None or _is_idle(marker, content, data, end):
            kept.append(content[start:position])
            start = end
        if marker == _APP1 and content.startswith(_EXIF, data, end):
            exif.append(content[data + len(_EXIF) : end])  # a long one is cut into several segments
        elif marker == _APP1 and content.startswith(_XMP, data, end):
            xmp = content[data + len(_XMP) : end]
    pixels = b"".join([*kept, content[start:]]) if start > 2 else content
    return Parts(pixels, b"".join(exif) or None, xmp)


def _segments(content: bytes) -> Iterator[tuple[int | None, int, int, int]]:
    """Marker, start, start of the data and end of each before the pixels, as far as segments are whole.

    The marker is None for what stands between segments, which decoders pass over.
    """
    position = 2
    while (start := content.find(b"\xff", position)) >= 0 and start + 4 <= len(content):
        if start > position:
            yield None, position, position, start
        marker, length = content[start + 1], int.from_bytes(content[start + 2 : start + 4])
        position = start + 2 + length
        if marker in _OTHERS or length < 2 or position > len(content):
            return
        yield marker, start, start + 4, position


def _is_idle(marker: int, content: bytes, data: int, end: int) -> bool:
    if marker in _COLOURS:
        prefix, least = _COLOURS[marker]
        return not (content.startswith(prefix, data, end) and end - data >= least)
    return marker == _COMMENT or _APP0 <= marker <= _APP15
