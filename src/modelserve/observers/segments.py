"""The servers' counts by part of a segment, as outcomes of the guardrails that name the segment.

Only parts with a name count: what a server put under ``other`` depends on whom it met first, so two servers'
others are not the same clients, and comparing them would blame a candidate for its company.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelserve._kit.named_counts import OTHER
from modelserve.domain.guardrails import Metric, Segment
from modelserve.domain.rollouts import Outcome, Trials
from modelserve.observers.base import Subject

Figures = Mapping[str, Any]
Position = dict[str, dict[str, list[int]]]
"""By segment and part: when the count began, calls, failures."""
Parts = dict[str, dict[str, Trials]]


def asked(subject: Subject) -> tuple[Segment, ...]:
    """The segments by which servers must divide: those of a guardrail on errors or on labels."""
    named = {g.segment for g in subject.guardrails if g.segment}
    return tuple(segment for segment in subject.segments if segment.name in named)


def told(segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """As ``PUT /internal/segments`` takes them."""
    return [segment.model_dump() for segment in segments]


def counts_by(figure: Figures) -> list[dict[str, Any]]:
    """What a server divides by already."""
    return [{key: one[key] for key in ("name", "header", "by")} for one in figure.get("segments", ())]


def position(figure: Figures, arm: str, segments: Iterable[Segment]) -> Position:
    """Where one server's counts stand; nothing of a segment that it does not count by."""
    by_name = {one["name"]: one["arms"].get(arm, {}) for one in figure.get("segments", ())}
    return {s.name: by_name[s.name] for s in segments if s.name in by_name}


def rise(before: Position, now: Position) -> Parts:
    """What one process added between two readings. A part that was begun in between counts from nothing."""
    return {
        name: {
            part: _added(before.get(name, {}).get(part), count)
            for part, count in parts.items()
            if part != OTHER
        }
        for name, parts in now.items()
    }


def _added(before: list[int] | None, now: list[int]) -> Trials:
    born, total, bad = now
    if before is None or before[0] != born:
        return Trials(total, bad)
    return Trials(total - before[1], bad - before[2])


def add(one: Parts, other: Parts) -> Parts:
    """Sum over two servers."""
    joined: Parts = {}
    for parts in (one, other):
        for name, by_part in parts.items():
            into = joined.setdefault(name, {})
            for part, trials in by_part.items():
                known = into.get(part, Trials())
                into[part] = Trials(known.n + trials.n, known.bad + trials.bad)
    return joined


def outcomes(subject: Subject, stable: Parts | None, candidate: Parts | None) -> dict[str, Outcome]:
    """By guardrail and part, where at least one arm had a call. None: no server of that arm was seen."""
    found = {}
    for guardrail in subject.guardrails:
        if guardrail.metric is not Metric.ERROR_RATE or guardrail.segment is None:
            continue
        ours, theirs = ((arm or {}).get(guardrail.segment, {}) for arm in (stable, candidate))
        for part in sorted({*ours, *theirs}):
            trials = ours.get(part, Trials()), theirs.get(part, Trials())
            if any(each.n for each in trials):
                found[f"{guardrail.key}={part}"] = Outcome(
                    None if stable is None else trials[0], None if candidate is None else trials[1]
                )
    return found
