"""What became of participants, as programs tell it: each item gets an answer of its own.

The front door writes its log about once a second. Who tells an outcome at once is therefore waited for: an
item whose participant is not known yet is looked up again for ``PATIENCE`` seconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelserve.control.experiments import get
from modelserve.control.exposures import anonymous
from modelserve.control.noting import take_note
from modelserve.control.platform import Platform
from modelserve.domain.experiments import ExperimentState, OutcomeMetric
from modelserve.domain.participants import Exposure, Outcome

PATIENCE = 2.5
"""Seconds that a participant may take to appear in the log."""
MOST_ITEMS = 10_000
"""Items in one call."""
_KNOWN = ("key", "request_id", "metric", "value")


class Said(StrEnum):
    """Each value completes the sentence: the outcome is ..."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """The same was told before; nothing changed."""
    CONTRADICTING = "contradicting"
    """Something else was told before, which stays."""
    UNKNOWN = "unknown"
    """Nobody with this key, or this request, has met an arm."""
    LATE = "late"
    """The metric's window is over: the participant counts as 0."""
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Answer:
    said: Said
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that is no JSON, and why."""

    detail: str


@dataclass(frozen=True, slots=True)
class _Item:
    metric: OutcomeMetric
    value: float
    key: str = ""
    request: str = ""


async def record(platform: Platform, name: str, told: Sequence[Any]) -> tuple[Answer, ...]:
    """An answer to each item, in their order. Raises NotFound, Unavailable."""
    state = await get(platform, name)
    metrics = {metric.name: metric for metric in state.spec.metrics}
    read = [_read(item, metrics, name) for item in told]
    items = [item for item in read if isinstance(item, _Item)]
    met = await _patiently(platform, state, items)
    answers = iter(await _keep(platform, state, items, met))
    said = tuple(next(answers) if isinstance(item, _Item) else item for item in read)
    platform.told.update((name, answer.said.value) for answer in said)
    return said


def summary(answers: Sequence[Answer]) -> dict[str, Any]:
    """Counts, and every item that was not accepted."""
    counts = Counter(answer.said for answer in answers)
    problems = [
        {"index": index, "status": answer.said, "detail": answer.detail}
        for index, answer in enumerate(answers)
        if answer.said is not Said.ACCEPTED
    ]
    return {"counts": {said: counts[said] for said in Said}, "problems": problems}


def _read(item: Any, metrics: Mapping[str, OutcomeMetric], name: str) -> _Item | Answer:
    if isinstance(item, Unreadable):
        return Answer(Said.MALFORMED, item.detail)
    if not isinstance(item, dict):
        return Answer(Said.MALFORMED, f"must be an object with {', '.join(_KNOWN)}")
    if unknown := set(item) - set(_KNOWN):
        return Answer(Said.MALFORMED, f"unknown field {sorted(unknown)[0]!r:.60}; known: {', '.join(_KNOWN)}")
    who = [item.get(field) for field in ("key", "request_id")]
    if sum(map(_is_name, who)) != 1 or None not in who:
        return Answer(
            Said.MALFORMED, "give exactly one of key and request_id: 1 to 256 signs of printable ASCII"
        )
    asked = item.get("metric")
    metric = metrics.get(asked) if isinstance(asked, str) else None
    if metric is None:
        return Answer(Said.MALFORMED, f"metric: got {asked!r:.60}: {name} has {', '.join(metrics)}")
    if complaint := _wrong_value(item.get("value"), metric):
        return Answer(Said.MALFORMED, complaint)
    key = anonymous(name, who[0]) if who[0] else ""
    return _Item(metric, float(item["value"]), key, who[1] or "")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256 and value.isascii() and value.isprintable()


def _wrong_value(value: Any, metric: OutcomeMetric) -> str:
    low, high = metric.limits
    right = "0 or 1" if metric.bounds is None else f"a number from {low:g} to {high:g}"
    fits = isinstance(value, (bool, int, float)) and low <= value <= high
    if fits and (metric.bounds is not None or value in (0, 1)):
        return ""
    return f"value: got {value!r:.60}: must be {right}"


async def _patiently(
    platform: Platform, state: ExperimentState, items: Sequence[_Item]
) -> dict[_Item, Exposure]:
    """Who the items are about, as far as that becomes known."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        await take_note(platform)
        met = await _look_up(platform, state, items)
        if len(met) == len(set(items)) or not state.is_active:
            return met
        if platform.exposures is None or asyncio.get_running_loop().time() >= deadline:
            return met
        await asyncio.sleep(0.25)


async def _look_up(
    platform: Platform, state: ExperimentState, items: Sequence[_Item]
) -> dict[_Item, Exposure]:
    memory = platform.exposures.remembered if platform.exposures else None
    asked = {item: memory.who_asked(state.name, item.request) for item in items if item.request and memory}
    keys = {item: item.key or asked.get(item) or "" for item in items}
    requests = {item.request for item in items if not keys[item]}
    found = await asyncio.to_thread(
        platform.book.records.exposures, state.name, keys=set(keys.values()) - {""}, requests=requests
    )
    by_key = {exposure.key: exposure for exposure in found}
    by_request = {exposure.request: exposure for exposure in found}
    looked = {item: by_key.get(keys[item]) or by_request.get(item.request) for item in items}
    return {item: exposure for item, exposure in looked.items() if exposure is not None}


async def _keep(
    platform: Platform, state: ExperimentState, items: Sequence[_Item], met: Mapping[_Item, Exposure]
) -> list[Answer]:
    now = platform.now()
    refused = {item: _refusal(item, met.get(item), now) for item in items}
    kept = [item for item in items if refused[item] is None]
    outcomes = [Outcome(met[item].key, item.metric.name, item.value, now) for item in kept]
    before = await asyncio.to_thread(platform.book.records.add_outcomes, state.name, outcomes)
    answers = iter([_compare(item.value, earlier) for item, earlier in zip(kept, before, strict=True)])
    return [refused[item] or next(answers) for item in items]


def _refusal(item: _Item, exposure: Exposure | None, now: float) -> Answer | None:
    if exposure is None:
        return Answer(Said.UNKNOWN, "nobody with this key or request has met an arm of this experiment")
    window = item.metric.window
    if window is not None and now > exposure.at + window:
        return Answer(Said.LATE, f"the window of {item.metric.name} is over for this participant")
    return None


def _compare(value: float, earlier: float | None) -> Answer:
    if earlier is None:
        return Answer(Said.ACCEPTED)
    if earlier == value:
        return Answer(Said.DUPLICATE, "told before")
    return Answer(Said.CONTRADICTING, f"{earlier:g} was told before and stays")
