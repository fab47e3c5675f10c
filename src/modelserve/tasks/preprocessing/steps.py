"""What is done to an image, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelserve.errors import InvalidInput, PayloadTooLarge
from modelserve.tasks.preprocessing.sizes import Size, Target

Reals = NDArray[np.float32]


class Step(Protocol):
    """From an image to another."""

    def size(self, before: Size | None) -> Size | None:
        """Height and width that every image has afterwards; None where they depend on the image."""

    def apply(self, image: Image.Image) -> Image.Image:
        """Raises InvalidInput or PayloadTooLarge for an image that the step can't be done to."""


@dataclass(frozen=True)
class Resize:
    """Raises PayloadTooLarge for a sliver that would be blown up beyond ``max_pixels``."""

    target: Target
    resample: Image.Resampling
    max_pixels: int

    def size(self, before: Size | None) -> Size | None:
        return self.target.fixed

    def apply(self, image: Image.Image) -> Image.Image:
        height, width = self.target.of(image.height, image.width)
        if self.target.fixed is None and height * width > self.max_pixels:
            raise PayloadTooLarge(
                f"the image of {image.width} x {image.height} would have {width} x {height} pixels after "
                f"resizing; at most {self.max_pixels} are allowed: send one of more usual proportions"
            )
        return image.resize((width, height), self.resample)


@dataclass(frozen=True)
class CenterCrop:
    """The middle; what the image lacks is black."""

    crop: Size

    def size(self, before: Size | None) -> Size:
        return self.crop

    def apply(self, image: Image.Image) -> Image.Image:
        height, width = self.crop
        top, left = (image.height - height) // 2, (image.width - width) // 2
        return image.crop((left, top, left + width, top + height))


@dataclass(frozen=True)
class ShareCrop:
    """Perceiver's: the middle, whose sides are shares of the image's shorter side; nothing of one pixel."""

    height: float
    width: float

    def size(self, before: Size | None) -> None:
        return None

    def apply(self, image: Image.Image) -> Image.Image:
        side = min(image.size)
        return CenterCrop((int(self.height * side), int(self.width * side))).apply(image)


@dataclass(frozen=True)
class Preprocessing:
    """``steps``, then ``x * scale + shift`` per channel, which holds rescaling and normalizing in one.

    ``flipped`` turns RGB into BGR at last. ``padded`` is a height and width that is filled up with zeros at
    the bottom and on the right.
    """

    steps: tuple[Step, ...]
    scale: Reals
    shift: Reals
    flipped: bool = False
    padded: Size | None = None

    @property
    def size(self) -> Size | None:
        """Height and width that every image ends up with; None where they depend on the image."""
        size: Size | None = None
        for step in self.steps:
            size = step.size(size)
        return self.padded or size

    def apply(self, image: Image.Image) -> Reals:
        """float32 [channels, height, width], one channel for mode L and three for RGB.

        Raises PayloadTooLarge or InvalidInput for an image that a step can't be done to.
        """
        for step in self.steps:
            image = step.apply(image)
        pixels = np.asarray(image, np.float32)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        pixels = pixels * self.scale + self.shift
        if self.flipped:
            pixels = pixels[:, :, ::-1]
        if self.padded is not None:
            pixels = _padded(pixels, self.padded)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _padded(pixels: Reals, size: Size) -> Reals:
    lacks = size[0] - pixels.shape[0], size[1] - pixels.shape[1]
    if min(lacks) < 0:
        raise InvalidInput(
            f"the image has {pixels.shape[1]} x {pixels.shape[0]} pixels before it is padded; this model "
            f"takes at most {size[1]} x {size[0]}"
        )
    return np.pad(pixels, ((0, lacks[0]), (0, lacks[1]), (0, 0)))
