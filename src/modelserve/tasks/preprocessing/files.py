"""Where the description of an image processor stands in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelserve.errors import InvalidPackage
from modelserve.tasks.preprocessing.settings import shown

FILE_NAME = "preprocessor_config.json"
_NESTED = "processor_config.json", "image_processor"
"""A file that may hold the description under this key; Hugging Face reads that one first."""


def read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """The file's name, and what it says. Raises InvalidPackage for a file that can't be read."""
    name, key = _NESTED
    if (folder / name).is_file():
        nested = _object(folder / name).get(key)
        if isinstance(nested, dict):
            return f"{name}: {key}", nested
        if nested is not None:
            raise InvalidPackage(f"{name}: {key}: {shown(nested)}; an object {{...}} is wanted")
    return FILE_NAME, _object(folder / FILE_NAME)


def model_config(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says, if it is there. Raises InvalidPackage."""
    path = folder / "config.json"
    return _object(path) if path.is_file() else {}


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidPackage(f"{path.name}: can't be read: {error}") from error
    if not isinstance(found, dict):
        raise InvalidPackage(f"{path.name}: holds a JSON {type(found).__name__}; an object {{...}} is wanted")
    return found
