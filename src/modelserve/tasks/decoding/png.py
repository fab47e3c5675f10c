"""PNG: chunks that no pixel depends on are left out before a decoder sees them, and are never inflated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

from modelserve.tasks.decoding.parts import Parts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_TEXT = 1024 * 1024
"""Bytes of a text that may tell the orientation."""
_HEAD = struct.Struct(">I4s")
_AROUND = 12
"""Bytes of a chunk's length, name and checksum."""
_TRANSPARENCY, _PALETTE, _DATA = b"tRNS", b"PLTE", b"IDAT"
_NEEDED = (_TRANSPARENCY, _PALETTE, _DATA)
_GREY, _COLOURS, _INDICES = 0, 2, 3
"""Types of colours that transparency may be told of, by numbers of IHDR; others have it in their pixels."""
_COLOURFUL = (_COLOURS, 6)
"""Types that need no palette, but may propose one to screens of few colours."""
_MOST_BITS = 16
"""Of colours with so many, decoders give the upper 8 alone, and compare these with all 16 of transparency:
what is nearly black would become clear. Such transparency is passed over."""
_TELLING = slice(24, 26)
"""Where IHDR, the first chunk, tells how many bits a number has, and the type."""
_XMP, _RAW_EXIF = b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"
_KEYWORDS = {b"eXIf": (b"",), b"iTXt": (_XMP, _RAW_EXIF), b"zTXt": (_RAW_EXIF,), b"tEXt": (_RAW_EXIF,)}


def split(content: bytes) -> Parts:
    """Whatever is broken about pixels stays so: chunks are left out only where that changes nothing."""
    kept: list[bytes] = []
    told: dict[bytes, tuple[bytes, bytes]] = {}
    start, passed = len(SIGNATURE), _Passed(content)
    for name, position, end in _chunks(content):
        if passed.is_idle(name, position, end):
            kept.append(content[start:position])
            told.update(_told(name, content, position, end))
            start = end
        passed.pass_by(name, end - position - _AROUND)
    whole = passed.scattered or not kept
    pixels = content if whole else b"".join([SIGNATURE, *kept, content[start:]])
    return Parts(pixels, _exif(told), _text(told.get(_XMP)))


def bits(content: bytes) -> int:
    """Of each number of a PNG with a head."""
    return content[_TELLING.start]


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each up to the end of the image; the last may be cut short."""
    position = len(SIGNATURE)
    while position + _HEAD.size <= len(content):
        length, name = _HEAD.unpack_from(content, position)
        if name == b"IEND":
            return
        end = min(position + _AROUND + length, len(content))
        yield name, position, end
        position = end


class _Passed:
    """What the chunks so far tell of those that follow.

    ``scattered``: whether others stand among the chunks of pixels, which no decoder takes; such a file is not
    put in order.
    """

    def __init__(self, content: bytes) -> None:
        self.scattered = False
        self._begun = self._over = self._transparent = False
        self._content, self._entries = content, 0
        self._depth, self._type = content[_TELLING] if len(content) >= _TELLING.stop else (0, -1)

    def is_idle(self, name: bytes, position: int, end: int) -> bool:
        """Whether no pixel of the first picture depends on it: all whose name begins with a small letter but
        transparency, and that too where decoders pass it over; a palette that is but proposed."""
        if name == _TRANSPARENCY:
            return not self._takes_transparency(end - position - _AROUND)
        optional = name[:1].islower() if name != _PALETTE else self._type in _COLOURFUL
        return name.isalpha() and optional and not self._is_misnamed(position, end)

    def _takes_transparency(self, length: int) -> bool:
        """As libpng does: the first of the right length, behind a palette and before the pixels; but see
        :data:`_MOST_BITS`."""
        if self._begun or self._transparent:
            return False
        if self._type == _INDICES:
            return 0 < length <= self._entries
        if self._type == _COLOURS and self._depth == _MOST_BITS:
            return False
        return length == {_GREY: 2, _COLOURS: 6}.get(self._type)

    def _is_misnamed(self, position: int, end: int) -> bool:
        """Whether its checksum is wrong, but right under the name of a chunk that pixels need."""
        name, data = position + 4, memoryview(self._content)[position + _HEAD.size : end - 4]
        told = int.from_bytes(self._content[end - 4 : end])
        if zlib.crc32(data, zlib.crc32(self._content[name : name + 4])) == told:
            return False
        return any(zlib.crc32(data, zlib.crc32(needed)) == told for needed in _NEEDED)

    def pass_by(self, name: bytes, length: int) -> None:
        if name == _DATA:
            self.scattered |= self._over
            self._begun = True
        else:
            self._over = self._begun
        if name == _PALETTE:
            self._entries = min(length // 3, 1 << min(self._depth, 8))
        elif name == _TRANSPARENCY:
            self._transparent |= self._takes_transparency(length)


def _told(name: bytes, content: bytes, position: int, end: int) -> dict[bytes, tuple[bytes, bytes]]:
    """The chunk under its keyword if it may tell the orientation and is whole. The last of several counts."""
    start = position + _HEAD.size
    found = next((word for word in _KEYWORDS.get(name, ()) if content.startswith(word, start, end)), None)
    if found is None or zlib.crc32(content[position + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
        return {}
    return {found or name: (name, content[start + len(found) : end - 4])}


def _exif(told: Mapping[bytes, tuple[bytes, bytes]]) -> bytes | None:
    """The chunk made for it, else the text that ImageMagick writes: three lines, then hexadecimal digits."""
    if b"eXIf" in told:
        return told[b"eXIf"][1]
    text = _text(told.get(_RAW_EXIF))
    try:
        return bytes.fromhex("".join(text.decode("latin-1").split("\n")[3:])) if text else None
    except ValueError:
        return None


def _text(chunk: tuple[bytes, bytes] | None) -> bytes | None:
    """What follows the keyword, at most :data:`MOST_TEXT` bytes; None where it is broken."""
    if chunk is None:
        return None
    packed, data = _UNWRAP[chunk[0]](chunk[1])
    try:
        return zlib.decompressobj().decompress(data, MOST_TEXT) if packed else data[:MOST_TEXT]
    except zlib.error:
        return None


_UNWRAP: Mapping[bytes, Callable[[bytes], tuple[bool, bytes]]] = {
    b"tEXt": lambda data: (False, data),
    b"zTXt": lambda data: (True, data[1:]),
    b"iTXt": lambda data: (data[:1] == b"\1", data[2:].split(b"\0", 2)[-1]),
}
"""Whether the text is packed, and the text: it stands after a method; after flag, method and two names."""
