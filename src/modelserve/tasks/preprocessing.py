"""Pixels to the numbers that an image model takes, as ``preprocessor_config.json`` describes it.

The keys and their meaning are Hugging Face's (image processors): resize, centre crop, rescale, normalize, in
this order. Switches (``do_...``) that ModelServe does not know are refused when on, for they would change
answers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelserve.domain.inference import Array
from modelserve.errors import InvalidPackage, PayloadTooLarge

FILE_NAME = "preprocessor_config.json"
_KNOWN = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
_SMALL_EDGE = 384
"""Pixels below which ConvNeXT-style configurations resize by crop_pct, then crop; else they resize."""

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Resize:
    """To exactly ``size``, or in proportion until the shorter side has ``size[0]`` pixels."""

    size: Size
    resample: Image.Resampling
    proportional: bool = False

    def target(self, image: Image.Image) -> Size:
        """Height and width that ``image`` gets."""
        if not self.proportional:
            return self.size
        edge, (short, long) = self.size[0], sorted(image.size)
        other = int(edge * long / short)
        return (edge, other) if image.width >= image.height else (other, edge)


@dataclass(frozen=True)
class Preprocessing:
    """The steps; None leaves one out. ``scale`` and ``shift`` hold rescaling and normalizing in one."""

    resize: Resize | None
    crop: Size | None
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]

    @property
    def size(self) -> Size | None:
        """Height and width that every image ends up with; None where they depend on the image."""
        if self.crop is not None or self.resize is None or self.resize.proportional:
            return self.crop
        return self.resize.size

    def apply(self, image: Image.Image, max_pixels: int) -> NDArray[np.float32]:
        """float32 [channels, height, width], one channel for mode L and three for RGB.

        Raises PayloadTooLarge for a sliver that resizing would blow up beyond ``max_pixels``.
        """
        if self.resize is not None:
            image = _resized(image, self.resize, max_pixels)
        if self.crop is not None:
            image = _center_crop(image, self.crop)
        pixels = np.asarray(image, np.float32)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        return np.ascontiguousarray((pixels * self.scale + self.shift).transpose(2, 0, 1))


def read_preprocessing(path: Path, channels: int) -> Preprocessing:
    """Raises InvalidPackage that names the key, the value and what would be right."""
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidPackage(f"{FILE_NAME}: can't be read: {error}") from error
    for key, value in config.items():
        if key.startswith("do_") and key not in _KNOWN and value:
            raise InvalidPackage(
                f"{FILE_NAME}: {key}: {value!r} is not supported; known are {', '.join(_KNOWN)}"
            )
    resize, crop = _geometry(config)
    scale, shift = _arithmetic(config, channels)
    return Preprocessing(resize, crop, scale, shift)


def _resized(image: Image.Image, resize: Resize, max_pixels: int) -> Image.Image:
    height, width = resize.target(image)
    if resize.proportional and height * width > max_pixels:
        raise PayloadTooLarge(
            f"the image of {image.width} x {image.height} would have {width} x {height} pixels after "
            f"resizing; at most {max_pixels} are allowed: send one of more usual proportions"
        )
    return image.resize((width, height), resize.resample)


def _center_crop(image: Image.Image, crop: Size) -> Image.Image:
    """The middle; what the image lacks is black."""
    top, left = (image.height - crop[0]) // 2, (image.width - crop[1]) // 2
    return image.crop((left, top, left + crop[1], top + crop[0]))


def _geometry(config: Mapping[str, Any]) -> tuple[Resize | None, Size | None]:
    crop = _exact_size(config, "crop_size") if config.get("do_center_crop") else None
    if not config.get("do_resize", "size" in config):
        return None, crop
    resample = _resample(config)
    size = config.get("size")
    if "crop_pct" in config:
        return _by_crop_share(config, resample)
    if isinstance(size, Mapping) and "shortest_edge" in size:
        edge = _count("size.shortest_edge", size["shortest_edge"])
        return Resize((edge, edge), resample, proportional=True), crop
    return Resize(_exact_size(config, "size"), resample, isinstance(size, int) and crop is not None), crop


def _by_crop_share(config: Mapping[str, Any], resample: Image.Resampling) -> tuple[Resize, Size | None]:
    """ConvNeXT's way, which ResNet configurations share: resize a little larger, then crop to the size."""
    size, share = config.get("size"), config["crop_pct"]
    edge = _count("size", size.get("shortest_edge") if isinstance(size, Mapping) else size)
    if not _is_number(share) or not 0 < share <= 1:
        raise InvalidPackage(f"{FILE_NAME}: crop_pct: {share!r}; a share in 0..1 is wanted, such as 0.875")
    if edge >= _SMALL_EDGE:
        return Resize((edge, edge), resample), None
    larger = int(edge / share)
    return Resize((larger, larger), resample, proportional=True), (edge, edge)


def _exact_size(config: Mapping[str, Any], key: str) -> Size:
    value = config.get(key)
    if isinstance(value, Mapping) and {"height", "width"} <= value.keys():
        return _count(f"{key}.height", value["height"]), _count(f"{key}.width", value["width"])
    if isinstance(value, int):
        return _count(key, value), _count(key, value)
    wanted = '{"height": 224, "width": 224}' + (' or {"shortest_edge": 224}' if key == "size" else "")
    raise InvalidPackage(f"{FILE_NAME}: {key}: {value!r}; {wanted} is wanted")


def _count(key: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 16384:
        raise InvalidPackage(f"{FILE_NAME}: {key}: {value!r}; a number of pixels from 1 to 16384 is wanted")
    return value


def _resample(config: Mapping[str, Any]) -> Image.Resampling:
    value = config.get("resample", Image.Resampling.BILINEAR)
    try:
        return Image.Resampling(value)
    except ValueError as error:
        known = ", ".join(f"{choice.value} ({choice.name.lower()})" for choice in sorted(Image.Resampling))
        raise InvalidPackage(f"{FILE_NAME}: resample: {value!r}; known are {known}") from error


def _arithmetic(config: Mapping[str, Any], channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(x * factor - mean) / std as x * scale + shift, one number per channel."""
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    if not _is_number(factor) or factor <= 0:
        raise InvalidPackage(f"{FILE_NAME}: rescale_factor: {factor!r}; a number above 0 is wanted")
    mean, std = np.zeros(channels), np.ones(channels)
    if config.get("do_normalize", "image_mean" in config):
        mean, std = _per_channel(config, "image_mean", channels), _per_channel(config, "image_std", channels)
        if (std <= 0).any():
            raise InvalidPackage(
                f"{FILE_NAME}: image_std: {config['image_std']!r}; numbers above 0 are wanted"
            )
    return (factor / std).astype(np.float32), (-mean / std).astype(np.float32)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _per_channel(config: Mapping[str, Any], key: str, channels: int) -> Array:
    value = config.get(key)
    numbers = value if isinstance(value, list) else [value] * channels
    fits = len(numbers) == channels and all(_is_number(number) for number in numbers)
    if not fits:
        raise InvalidPackage(f"{FILE_NAME}: {key}: {value!r}; {channels} numbers are wanted, one per channel")
    return np.array(numbers, np.float64)
