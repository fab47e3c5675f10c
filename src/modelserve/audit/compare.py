"""What of two verdicts, or of two states of the judge, is not the same: told in words, compared by bits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from pydantic import TypeAdapter

from modelserve.domain.rollouts import Verdict
from modelserve.judge import Evidence
from modelserve.rollout.looks import Look, seal

SHOWN = 80
"""Letters of a value that are shown."""

_VERDICT = TypeAdapter(Verdict)


def verdict_of_look(look: Look, found: Verdict) -> tuple[str, str] | None:
    """(kind, sentence) if ``found`` is not what ``look`` recorded; None if it is, or nothing was recorded."""
    if look.decision is None or (seal(found) == look.seal and look.decision is found.decision):
        return None
    if (look.decision, look.metric) != (found.decision, found.metric):
        return "verdict", f"{_said(look.decision, look.metric)} was recorded, now it is " + _said(
            found.decision, found.metric
        )
    return "verdict", f"{look.decision} as was recorded, but on other figures or in other words"


def verdict_of_transition(recorded: Verdict, found: Verdict) -> tuple[str, str] | None:
    """The same with a whole verdict: names the first field that differs."""
    stored = _VERDICT.validate_python(asdict(found))  # as it would come back from the records
    there = first_difference(asdict(recorded), asdict(stored))
    if there is None:
        return None
    where, then, now = there
    kind = "words" if where.startswith("reasons") else "verdict"
    return kind, f"{where} was {_short(then)}, now it is {_short(now)}"


def first_difference(recorded: Any, found: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """(path, recorded, found) of the first place where two JSON values differ; None if they are the same."""
    return next(_differences(recorded, found, where), None)


def evidence(recorded: Evidence, found: Evidence) -> str:
    """Empty if both are the same to the last bit; else the first place where they differ."""
    there = first_difference(recorded.dump(), Evidence.load(found.dump()).dump())
    return "" if there is None else f"{there[0]} was {_short(there[1])}, now it is {_short(there[2])}"


def _differences(recorded: Any, found: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(recorded, Mapping) and isinstance(found, Mapping):
        for key in {**recorded, **found}:
            inner = f"{where}.{key}" if where else str(key)
            yield from _differences(recorded.get(key), found.get(key), inner)
    elif isinstance(recorded, list | tuple) and isinstance(found, list | tuple):
        for index, (then, now) in enumerate(zip_longest(recorded, found)):
            yield from _differences(then, now, f"{where}[{index}]")
    elif repr(recorded) != repr(found):
        yield where, recorded, found


def _said(decision: str, metric: str) -> str:
    return f"{str(decision)!r} for {metric}" if metric else repr(str(decision))


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
