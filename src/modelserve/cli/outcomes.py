"""Outcomes from a file to the controller, in parts that it takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelserve.cli import client
from modelserve.errors import InvalidInput

AT_ONCE = 5000
"""Outcomes in one call."""
HARMLESS = ("accepted", "duplicate")


def read_items(file: Path) -> list[Any]:
    """A JSON array, or one JSON value a line. Raises InvalidInput that names the line."""
    text = _text(file)
    if text.lstrip().startswith("["):
        return list(_json(text, str(file)))
    lines = enumerate(text.splitlines(), 1)
    return [_json(line, f"{file}:{number}") for number, line in lines if line.strip()]


def told(name: str, items: list[Any]) -> dict[str, Any]:
    """Tell all of them; the answers to the parts put together, with indices into ``items``."""
    counts: dict[str, int] = {}
    problems: list[dict[str, Any]] = []
    for start, part in _parts(items):
        answer = client.control("POST", f"{client.experiment_path(name)}/outcomes", part)
        counts = {said: counts.get(said, 0) + count for said, count in answer["counts"].items()}
        problems += [problem | {"index": problem["index"] + start} for problem in answer["problems"]]
    return {"counts": counts, "problems": problems}


def _parts(items: list[Any]) -> Iterator[tuple[int, list[Any]]]:
    for start in range(0, max(1, len(items)), AT_ONCE):
        yield start, items[start : start + AT_ONCE]


def _text(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read().removeprefix("\ufeff")
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file}: not UTF-8 text: byte {error.start}") from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: not JSON: {error}") from None
