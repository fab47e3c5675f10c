"""A body of labels, as people send it, to labels: one bad item never loses the others.

The body is a JSON array of objects, or JSON Lines: one object on each line. Pure.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from modelserve.domain.labels import Label
from modelserve.errors import InvalidInput

MOST = 10_000
"""Labels in one body."""
MOST_ENTITIES = 256
"""Entities in one label: as many as are remembered of an answer."""
MOST_LETTERS = 256
"""Letters of a class."""
FIELDS = ("request_id", "service", "label", "score", "correct", "time")
_VALUES = ("label", "score", "correct")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_AHEAD = 86400.0
"""Seconds by which clocks may differ."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a body: a label, or what is wrong with it."""

    place: int
    """Its line, or its place in the array, from 1."""
    request_id: str = ""
    service: str = ""
    label: Label | None = None
    problem: str = ""


def items_of(body: bytes, now: float) -> list[Item]:
    """Raises InvalidInput for a body that is no list of anything, or too long a list."""
    told = body.strip()
    if told.startswith(b"["):
        return _of_array(told, now)
    lines = [(place, line) for place, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    _check_number(len(lines))
    return [_of_line(place, line, now) for place, line in lines]


def _of_array(body: bytes, now: float) -> list[Item]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is no JSON array: {error}") from None
    _check_number(len(found))
    return [_item(place, told, now) for place, told in enumerate(found, 1)]


def _check_number(number: int) -> None:
    if not 1 <= number <= MOST:
        raise InvalidInput(f"labels: got {number}: send 1 to {MOST} in one body")


def _of_line(place: int, line: bytes, now: float) -> Item:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Item(place, problem=f"got {_shown(line.decode(errors='replace'))}, which is no JSON: {error}")
    return _item(place, told, now)


def _item(place: int, told: Any, now: float) -> Item:
    if not isinstance(told, dict):
        return Item(place, problem=f"got {_shown(told)}: an item is an object with request_id and service")
    request_id, service = (
        name if isinstance(name := told.get(field), str) else "" for field in ("request_id", "service")
    )
    try:
        _check_names(told)
        label = Label(request_id, _value(told), _time(told.get("time"), now))
        return Item(place, request_id, service, label)
    except _Problem as problem:
        return Item(place, request_id[:128], service[:64], problem=str(problem))


class _Problem(Exception):
    """Names a field, its value and what would be right."""


def _check_names(told: Mapping[str, Any]) -> None:
    unknown = sorted(set(told) - set(FIELDS))
    if unknown:
        raise _Problem(f"{unknown[0][:64]}: there is no such field; there are {', '.join(FIELDS)}")
    request_id, service = told.get("request_id"), told.get("service")
    if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
        right = "send what the answer's header x-request-id said"
        raise _Problem(f"request_id: got {_shown(request_id)}: {right}")
    if not isinstance(service, str) or not service:
        raise _Problem(f"service: got {_shown(service)}: send the name of the service that answered")


def _value(told: Mapping[str, Any]) -> dict[str, Any]:
    given = [name for name in _VALUES if told.get(name) is not None]
    if len(given) != 1:
        raise _Problem(f"got {' and '.join(given) or 'no value'}: send one of {', '.join(_VALUES)}")
    (name,) = given
    value = told[name]
    if name == "score":
        return {"score": _score(value)}
    if name == "label":
        return {"entities": _entities(value)} if isinstance(value, list) else {"label": _class(value, name)}
    if not isinstance(value, bool):
        raise _Problem(f"correct: got {_shown(value)}: send true or false")
    return {"correct": value}


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _Problem(f"score: got {_shown(value)}: send a number from 0 (worst) to 1 (best)")
    return float(value)


def _class(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_LETTERS or "\0" in value:
        right = f"send a class of 1 to {MOST_LETTERS} letters, or a list of entities"
        raise _Problem(f"{field}: got {_shown(value)}: {right}")
    return value


def _entities(value: list[Any]) -> list[list[Any]]:
    """Sorted, each once, so that equal labels are equal."""
    if len(value) > MOST_ENTITIES:
        raise _Problem(f"label: got {len(value)} entities: send at most {MOST_ENTITIES}")
    return [list(span) for span in sorted({_span(number, entity) for number, entity in enumerate(value)})]


def _span(number: int, entity: Any) -> tuple[str, int, int]:
    field = f"label[{number}]"
    if not isinstance(entity, dict) or not {"label", "start", "end"} <= entity.keys():
        raise _Problem(f'{field}: got {_shown(entity)}: send {{"label": "PER", "start": 0, "end": 3}}')
    start, end = entity["start"], entity["end"]
    if any(isinstance(v, bool) or not isinstance(v, int) for v in (start, end)) or not 0 <= start < end:
        right = "send code points of the text, the end after the last"
        raise _Problem(f"{field}: got start {_shown(start)} and end {_shown(end)}: {right}")
    return _class(entity["label"], f"{field}.label"), start, end


def _time(value: Any, now: float) -> float | None:
    """Unix seconds of a number, or of a date as ISO 8601 says it."""
    if value is None:
        return None
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        with contextlib.suppress(ValueError, OverflowError, OSError):
            seconds = datetime.fromisoformat(value).timestamp()
    if not 0 <= seconds <= now + _AHEAD:
        right = "send when the truth became known, as Unix seconds or like 2026-01-31T12:00:00Z"
        raise _Problem(f"time: got {_shown(value)}: {right}")
    return seconds


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
