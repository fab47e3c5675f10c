"""Files of labels, CSV or JSON Lines, as the items that the control API takes, each with its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from modelserve.errors import InvalidInput

COLUMNS = ("request_id", "service", "label", "score", "correct", "time")
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_SNIFFED = 64
"""Lines, empty ones, that may come before the first that tells the format."""


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a file, or what is wrong with its line."""

    line: int
    item: dict[str, Any] | None = None
    problem: str = ""


def rows(lines: Iterable[str], format: Format | None, service: str | None) -> Iterator[Row]:
    """``service`` is meant where an item names none; a format of None is told from the first line.

    Raises InvalidInput for a header that lacks what is needed.
    """
    start, rest = _sniff(iter(lines))
    if format is None:
        first = next((line for line in start if line.strip()), "")
        format = Format.JSONL if first.lstrip().startswith("{") else Format.CSV
    read = _csv if format is Format.CSV else _jsonl
    return read(chain(start, rest), service)


def _sniff(lines: Iterator[str]) -> tuple[list[str], Iterator[str]]:
    start: list[str] = []
    for line in lines:
        start.append(line.removeprefix("\ufeff") if not start else line)
        if line.strip() or len(start) >= _SNIFFED:
            break
    return start, lines


def _jsonl(lines: Iterable[str], service: str | None) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except ValueError as error:
            yield Row(number, problem=f"got {line.strip()[:80]!r}, which is no JSON: {error}")
            continue
        if not isinstance(told, dict):
            yield Row(number, problem=f"got {line.strip()[:80]!r}: a line is an object with request_id")
            continue
        yield Row(number, _of(service, told))


def _csv(lines: Iterable[str], service: str | None) -> Iterator[Row]:
    reader = csv.reader(lines)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check(header, service)
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                problem = f"got {len(cells)} cells: the header has {len(header)}"
                yield Row(reader.line_num, problem=problem)
                continue
            yield Row(reader.line_num, _of(service, _read(dict(zip(header, cells, strict=True)))))
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num}: no CSV: {error}") from None


def _check(header: list[str], service: str | None) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or "request_id" not in header or len(set(header)) != len(header):
        raise InvalidInput(
            f"line 1: got the header {','.join(header)[:200]!r}: the first line names the columns, "
            f"request_id and some of {', '.join(COLUMNS[1:])}, each once"
        )
    if not set(header) & {"label", "score", "correct"}:
        raise InvalidInput("line 1: the header lacks a column label, score or correct")
    if service is None and "service" not in header:
        raise InvalidInput("line 1: the header lacks the column service: add it, or say --service NAME")


def _read(cells: dict[str, str]) -> dict[str, Any]:
    """Cells are text; what can't be read stays one, and the platform says what would be right."""
    told: dict[str, Any] = {name: cell for name, cell in cells.items() if cell}
    if (label := cells.get("label", "")).startswith("[{") or label == "[]":
        told["label"] = _json(label)
    if correct := cells.get("correct", "").strip().lower():
        told["correct"] = correct in _YES if correct in (*_YES, *_NO) else cells["correct"]
    for name in ("score", "time"):
        if cell := cells.get(name):
            told[name] = _number(cell)
    return told


def _json(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _of(service: str | None, told: dict[str, Any]) -> dict[str, Any]:
    return told if service is None else {"service": service, **told}
