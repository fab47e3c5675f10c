"""From ``preprocessor_config.json`` to the steps that an image goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from modelserve.errors import InvalidPackage
from modelserve.tasks.preprocessing.files import FILE_NAME, model_config, read_config
from modelserve.tasks.preprocessing.keys import OWN_CODE, check_keys
from modelserve.tasks.preprocessing.processors import (
    CLASS_KEYS,
    PROCESSORS,
    keyed,
    named,
    names_code,
    of_model,
)
from modelserve.tasks.preprocessing.settings import Mistake, Settings, mistake, shown
from modelserve.tasks.preprocessing.sizes import exact
from modelserve.tasks.preprocessing.steps import Preprocessing, Reals

__all__ = ["FILE_NAME", "read_preprocessing"]


def read_preprocessing(folder: Path, channels: int, max_pixels: int) -> Preprocessing:
    """For a model that takes 1 channel (grey) or 3 (RGB); no resized image has more than ``max_pixels``.

    Raises InvalidPackage that names the file, the key, its value and what would be right.
    """
    file, config = read_config(folder)
    try:
        model = model_config(folder)
        name = named(config) or named({key: model.get(key) for key in CLASS_KEYS[:1]})
        if name is None:
            return _of_type(config, model, channels, max_pixels)
        return _preprocessing(config, name, channels, max_pixels)
    except Mistake as error:
        raise InvalidPackage(f"{file}: {error}") from error


def _of_type(
    config: Mapping[str, Any], model: Mapping[str, Any], channels: int, max_pixels: int
) -> Preprocessing:
    """By the class that models of this type have, else by the keys alone. Raises Mistake."""
    name = of_model(model)
    if name is None and names_code(model):
        raise mistake("auto_map of config.json", model["auto_map"], OWN_CODE)
    try:
        return _preprocessing(config, name, channels, max_pixels)
    except Mistake as error:
        if name is None:
            raise
        kind = shown(model["model_type"])
        raise Mistake(f"{error} (in {name}, for model_type is {kind} and no class is named)") from error


def _preprocessing(
    config: Mapping[str, Any], name: str | None, channels: int, max_pixels: int
) -> Preprocessing:
    processor = PROCESSORS[name] if name is not None else keyed(config)
    check_keys(config, name, processor, channels)
    settings = Settings(config, processor.defaults)
    steps = tuple(processor.geometry(settings, max_pixels))
    scale, shift = _arithmetic(settings, channels)
    flipped = settings.on("do_flip_channel_order")
    return _padded(Preprocessing(steps, scale, shift, flipped), settings)


def _arithmetic(settings: Settings, channels: int) -> tuple[Reals, Reals]:
    """((x * factor - offset) - mean) / std as x * scale + shift, one number per channel.

    EfficientNet's ``include_top`` divides by std once more.
    """
    scale, shift = np.ones(channels), np.zeros(channels)
    if settings.on("do_rescale"):
        scale *= settings.number("rescale_factor")
        shift -= 1.0 if settings.on("rescale_offset") else 0.0
    if settings.on("do_normalize"):
        shift -= settings.per_channel("image_mean", channels)
    for switch in ("do_normalize", "include_top"):
        if settings.on(switch):
            std = settings.above_zero("image_std", channels)
            scale, shift = scale / std, shift / std
    return scale.astype(np.float32), shift.astype(np.float32)


def _padded(made: Preprocessing, settings: Settings) -> Preprocessing:
    """Without ``pad_size`` images are padded to the largest of their batch; here each is prepared alone."""
    if not settings.on("do_pad") or settings.get("pad_size") is None:
        return made
    size = exact(settings, "pad_size")
    if made.size is not None and (made.size[0] > size[0] or made.size[1] > size[1]):
        wanted = f"at least the {list(made.size)} that images have before is wanted"
        raise mistake("pad_size", settings.get("pad_size"), wanted)
    return replace(made, padded=size)
