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
_IDLE = frozenset(
    b"acTL bKGD cHRM cICP cLLI caBX dSIG eXIf fcTL fdAT gAMA gIFg gIFt gIFx hIST iCCP iDOT iTXt mDCV mkBF "
    b"mkBS mkTS oFFs orNT pCAL pHYs prVW sBIT sCAL sPLT sRGB sTER tEXt tIME vpAg zTXt".split()
)
"""Chunks that no pixel of the first picture needs, of the standard and of widespread programs. Others stay:
a name may be a broken one."""
_XMP, _RAW_EXIF = b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"
_KEYWORDS = {b"eXIf": (b"",), b"iTXt": (_XMP, _RAW_EXIF), b"zTXt": (_RAW_EXIF,), b"tEXt": (_RAW_EXIF,)}


def split(content: bytes) -> Parts:
    """Whatever is broken about pixels stays so: chunks are left out only where that changes nothing."""
    kept: list[bytes] = []
    told: dict[bytes, tuple[bytes, bytes]] = {}
    start, data = len(SIGNATURE), _Data()
    for name, position, end in _chunks(content):
        if name in _IDLE:
            kept.append(content[start:position])
            told.update(_told(name, content, position, end))
            start = end
        data.pass_by(name)
    whole = data.scattered or not kept
    pixels = content if whole else b"".join([SIGNATURE, *kept, content[start:]])
    return Parts(pixels, _exif(told), _text(told.get(_XMP)))


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


class _Data:
    """Whether the chunks of pixels follow each other: no decoder takes them with others in between, and such
    a file is not put in order.
    """

    def __init__(self) -> None:
        self.scattered = False
        self._begun = self._over = False

    def pass_by(self, name: bytes) -> None:
        if name == b"IDAT":
            self.scattered |= self._over
            self._begun = True
        else:
            self._over = self._begun


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
