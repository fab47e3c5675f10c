"""Images as a task model takes them: an encoded file, or an array that becomes a PNG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from modelserve.domain.inference import Array
from modelserve.errors import InvalidInput

Image = bytes | str | Path | Array
"""An encoded image, the path of one, or an array of uint8: height x width [x 1, 3 or 4 channels]."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"RIFF", "image/webp"),
)
_COLOURS = {1: 0, 3: 2, 4: 6}
"""Channels to PNG colour types: grey, RGB, RGB with alpha (PNG specification, 11.2.2)."""


def encoded(image: Image) -> bytes:
    """The image as a file's bytes. Raises InvalidInput for a file that cannot be read, or an odd array."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | Path):
        return _read(Path(image))
    if isinstance(image, np.ndarray):
        return png(image)
    raise InvalidInput(f"image: got {type(image).__name__}; give a path, bytes or an array of uint8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"image: got {str(path)!r}: {error.strerror}") from None


def media_type(content: bytes) -> str:
    """What a file is, by its first bytes."""
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), "application/octet-stream")


def png(pixels: Array) -> bytes:
    """An array of uint8, height x width [x 1, 3 or 4], as a PNG. Raises InvalidInput for any other."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in _COLOURS or not pixels.size:
        got = f"{pixels.dtype} of shape {list(pixels.shape)}"
        raise InvalidInput(f"image: got an array of {got}; give uint8, height x width [x 1, 3 or 4]")
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: 0, none
    lines[:, 1:] = pixels.reshape(height, -1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return _MAGIC[0][0] + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
