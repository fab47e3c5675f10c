"""Which way up an image is, as its EXIF or else its XMP says."""

from __future__ import annotations

import re

from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def upright(image: Image.Image, exif: bytes | None, xmp: bytes | None) -> Image.Image:
    """The image turned or mirrored; as it is where nothing says how, or what says it is broken."""
    told = _of_exif(exif) if exif else None
    if told is None and xmp and (found := _XMP.search(xmp)):
        told = int(found[1])
    turn = _TURNS.get(told) if isinstance(told, int) else None
    return image if turn is None else image.transpose(turn)


def _of_exif(content: bytes) -> object:
    exif = Image.Exif()
    try:
        exif.load(content)
        return exif.get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises many kinds on broken EXIF, which is no reason to refuse pixels
        return None
