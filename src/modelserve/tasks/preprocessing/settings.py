"""What a configuration says, over the defaults of its class; checks name key, value and what is wanted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

from modelserve.domain.inference import Array

MOST = 16384
"""Pixels of one side."""
_SHOWN = 80


class Mistake(ValueError):
    """A key that can't be followed; the text begins with its name."""


class Settings:
    """Keys with their values. ``null`` puts a default out of force, and a switch off, as in transformers."""

    def __init__(self, told: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._values = {**defaults, **told}

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def on(self, key: str) -> bool:
        """Whether a switch is on. Raises Mistake for what is neither true nor false."""
        value = self._values.get(key)
        if value is not None and type(value) is not bool:
            raise mistake(key, value, "true or false is wanted")
        return bool(value)

    def number(self, key: str) -> float:
        """A number above 0. Raises Mistake."""
        value = self._values.get(key)
        if not is_number(value) or value <= 0:
            raise mistake(key, value, "a number above 0 is wanted")
        return float(value)

    def share(self, key: str) -> float:
        """A number above 0 and at most 1. Raises Mistake."""
        value = self._values.get(key)
        if not is_number(value) or not 0 < value <= 1:
            raise mistake(key, value, "a share in 0..1 is wanted, such as 0.875")
        return float(value)

    def count(self, key: str) -> int:
        """A number of pixels. Raises Mistake."""
        return count(key, self._values.get(key))

    def per_channel(self, key: str, channels: int) -> Array:
        """One number for each channel, float64 [channels]; a single one is for all. Raises Mistake."""
        value = self._values.get(key)
        numbers = value if isinstance(value, list | tuple) else [value] * channels
        if len(numbers) != channels or not all(map(is_number, numbers)):
            raise mistake(key, value, f"{channels} numbers are wanted, one per channel")
        return np.array(numbers, np.float64)

    def above_zero(self, key: str, channels: int) -> Array:
        """As :meth:`per_channel`, all above 0."""
        numbers = self.per_channel(key, channels)
        if (numbers <= 0).any():
            raise mistake(key, self._values[key], "numbers above 0 are wanted")
        return numbers

    def resample(self) -> Image.Resampling:
        """The filter to resize with. Raises Mistake."""
        value = self._values.get("resample")
        if type(value) is int and value in list(Image.Resampling):
            return Image.Resampling(value)
        known = ", ".join(f"{choice.value} ({choice.name.lower()})" for choice in sorted(Image.Resampling))
        raise mistake("resample", value, f"known are {known}")


def count(key: str, value: Any) -> int:
    """A number of pixels. Raises Mistake."""
    if type(value) is not int or not 1 <= value <= MOST:
        raise mistake(key, value, f"a number of pixels from 1 to {MOST} is wanted")
    return value


def is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(value)


def mistake(key: str, value: Any, wanted: str) -> Mistake:
    return Mistake(f"{key}: {shown(value)}; {wanted}")


def shown(value: Any) -> str:
    """As the file has it, cut where it is long."""
    if value is None:
        return "is missing or null"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
