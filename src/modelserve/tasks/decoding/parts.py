"""What of an image's file is needed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parts:
    """``pixels`` is a file of the same format without what no pixel needs. EXIF and XMP may be broken."""

    pixels: bytes
    exif: bytes | None = None
    xmp: bytes | None = None
