"""Durations, shares and sizes as people write them: ``30s``, ``4ms``, ``5%``, ``64Mi``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"  # 15 digits: what a float keeps exactly
_DURATION = re.compile(rf"^({_NUMBER})(ms|s|m|h|d)$")
_PERCENT = re.compile(rf"^({_NUMBER})%$")
_BYTES = re.compile(r"^([0-9]{1,9})(Ki|Mi|Gi)$")


def parse_duration(value: object) -> float:
    """``"1.5s"`` -> 1.5. Raises ValueError that says how a duration is written."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a duration with its unit, such as "250ms", "30s", "5m" or "2h"')
    return float(match[1]) * _UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """The plainest text that parses to exactly this: 0.25 -> ``"250ms"``, 90.0 -> ``"90s"``, 0.0 -> ``"0s"``.

    A number that no text gives is rounded to the nearest microsecond.
    """
    if seconds == 0:
        return "0s"
    units = ["ms", "s", "m", "h", "d"] if seconds < 1 else ["s", "m", "h", "d", "ms"]
    large = (f"{seconds / _UNITS[unit]:.0f}{unit}" for unit in ("d", "h", "m"))
    small = (f"{seconds / _UNITS[unit]:.{places}f}{unit}" for unit in units for places in range(7))
    exact = (text for text in (*large, *small) if _reads_as(parse_duration, text, seconds))
    return next(exact, f"{seconds:.6f}s")


def parse_percent(value: object) -> float:
    """``"5%"`` -> 0.05. Raises ValueError that says how a share is written."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a share in percent, such as "0.5%" or "20%"')
    return float(match[1]) / 100


def format_percent(share: float) -> str:
    """The shortest text that parses to exactly this: 0.05 -> ``"5%"``; else rounded to a millionth of 1 %."""
    texts = (f"{share * 100:.{decimals}f}%" for decimals in range(7))
    return next((text for text in texts if _reads_as(parse_percent, text, share)), f"{share * 100:.6f}%")


def parse_bytes(value: object) -> int:
    """``"64Mi"`` -> 67108864. Raises ValueError that says how a size is written."""
    match = _BYTES.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a size with its unit, such as "512Ki", "64Mi" or "2Gi"')
    return int(match[1]) * _SIZES[match[2]]


def format_bytes(size: int) -> str:
    """The largest unit that says it in whole numbers: 67108864 -> ``"64Mi"``; else rounded up to a Ki."""
    for unit in ("Gi", "Mi"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{-(-size // 1024)}Ki"


def _reads_as(parse: Callable[[object], float], text: str, value: float) -> bool:
    try:
        return parse(text) == value
    except ValueError:
        return False


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern, "examples": ["30s"]}),
]
"""Seconds as a float; written as text with a unit."""

Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    PlainSerializer(format_percent, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PERCENT.pattern, "examples": ["5%"]}),
]
"""A share as a float in 0..1 (a relative change may exceed 1); written as text with a percent sign."""

Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    PlainSerializer(format_bytes, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _BYTES.pattern, "examples": ["64Mi"]}),
]
"""A size as a whole number of bytes; written as text with a unit."""
