"""From the bytes of an image to pixels, with the errors that a client can read."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image

from modelserve.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia
from modelserve.tasks.decoding import jpeg, png, webp
from modelserve.tasks.decoding.orientation import upright
from modelserve.tasks.decoding.parts import Parts

# Pillow warns about odd headers in words that the sender chooses; Python keeps each text it has warned with.
warnings.filterwarnings("ignore", module=r"PIL\.")

FORMATS = ("PNG", "JPEG", "WEBP")
Mode = Literal["RGB", "L"]

_SPLITS: dict[bytes, Callable[[bytes], Parts]] = {
    png.SIGNATURE: png.split,
    jpeg.SIGNATURE: jpeg.split,
    webp.SIGNATURE: webp.split,
}
"""By the bytes that a file begins with."""
_OTHERS = {
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"<svg": "an SVG",
    b"<?xml": "XML",
    b"\0\0\x01\0": "an icon",
    b"8BPS": "a Photoshop file",
}


def decode_image(content: bytes, max_pixels: int, mode: Mode = "RGB") -> Image.Image:
    """The first frame, turned as EXIF says, with transparency laid on white.

    Raises UnsupportedMedia for known other formats, PayloadTooLarge beyond ``max_pixels`` (width times
    height), InvalidInput for what is empty, broken, cut short or no image at all.
    """
    split = _split_for(content)
    try:
        parts = split(content)
        with Image.open(io.BytesIO(parts.pixels), formats=FORMATS) as image:
            _check_size(image, max_pixels)
            image.load()
            _scale_clear_grey(image, parts.pixels)
            exif, xmp = parts.exif or image.info.get("exif"), parts.xmp or image.info.get("xmp")
            return _flatten(upright(image, exif, xmp), mode)
    except Image.DecompressionBombError as error:
        raise PayloadTooLarge(f"the image has too many pixels; at most {max_pixels} are decoded") from error
    except PayloadTooLarge:
        raise
    except Exception as error:  # decoders raise many kinds on hostile bytes; Pillow lists no base class
        reason = str(error).removesuffix(".").partition("<_io")[0].strip() or type(error).__name__
        raise InvalidInput(f"the image can't be decoded, it is broken or cut short: {reason}") from error


def _split_for(content: bytes) -> Callable[[bytes], Parts]:
    if not content:
        raise InvalidInput("the image is empty: 0 bytes came in")
    for signature, split in _SPLITS.items():
        if content.startswith(signature):
            return split
    wanted = "send PNG, JPEG or WebP"
    if content[4:8] == b"ftyp":
        raise UnsupportedMedia(f"the image is HEIC, AVIF or a video; {wanted}")
    for signature, what in _OTHERS.items():
        if content.startswith(signature):
            raise UnsupportedMedia(f"the image is {what}; {wanted}")
    raise InvalidInput(f"the {len(content)} bytes, which start with {content[:8]!r}, are no image; {wanted}")


def _check_size(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise PayloadTooLarge(
            f"the image has {image.width} x {image.height} = {image.width * image.height} pixels; "
            f"at most {max_pixels} are decoded: send it smaller"
        )


def _scale_clear_grey(image: Image.Image, content: bytes) -> None:
    """Make the clear grey of a PNG comparable to its pixels, which Pillow widens to 8 bits from 2 or 4."""
    clear = image.info.get("transparency")
    if image.format == "PNG" and image.mode == "L" and isinstance(clear, int):
        most = (1 << png.bits(content)) - 1
        image.info["transparency"] = (clear & most) * 255 // most


def _flatten(image: Image.Image, mode: Mode) -> Image.Image:
    if image.mode.startswith("I"):
        image = _from_16_bit(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Grey with 16 bits to grey with 8: the upper byte, where Pillow itself would clip at 255. What is clear
    is told by all 16 (PNG, 11.3.2.1)."""
    pixels, clear = np.asarray(image), image.info.get("transparency")
    grey = Image.fromarray((np.clip(pixels, 0, 65535) >> 8).astype(np.uint8))
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(pixels == clear, 0, 255).astype(np.uint8)))
    return grey
