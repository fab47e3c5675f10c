"""The story of a rollout: one chapter from each change of its state to the next, in words for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from modelserve.audit.record import Record, Step
from modelserve.domain.rollouts import ArmCounts, GuardrailReading, Observation, Phase, Transition, Verdict
from modelserve.judge.words import count, percent, times

Json = dict[str, Any]

NOTES_TOLD = 5


@dataclass
class Seen:
    """Sums over the looks of one chapter."""

    looks: int = 0
    arms: dict[str, list[int]] = field(default_factory=lambda: {"candidate": [0, 0], "stable": [0, 0]})
    unseen: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    disagreements: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    verdict: Verdict | None = None
    """The last one, as it is given now."""
    last: float | None = None
    """When the last look was."""

    def add(self, step: Step) -> None:
        seen = step.look.observation
        self.looks += 1
        self.last = step.look.at
        self.verdict = step.verdict or self.verdict
        self.notes.update(seen.notes)
        self._arm("candidate", seen.candidate)
        self._arm("stable", seen.stable)
        self._pairs(seen)

    def _arm(self, name: str, arm: ArmCounts | None) -> None:
        if arm is None:
            self.unseen[name] += 1
            return
        self.arms[name][0] += arm.requests
        self.arms[name][1] += arm.failures

    def _pairs(self, seen: Observation) -> None:
        if seen.pairs is not None:
            self.pairs += seen.pairs.pairs
            self.disagreements += seen.pairs.disagreements


class Story:
    """Takes the looks in order; the chapters are told at the end."""

    def __init__(self, record: Record) -> None:
        self._rollout, self._coming = record.rollout, list(record.transitions)
        self._phase, self._weight, self._begin = Phase.LOADING, 0.0, record.rollout.started
        self._seen = Seen()
        self._told: list[Json] = []

    def add(self, step: Step) -> None:
        self._turn_pages(step.look.at)
        self._seen.add(step)

    def chapters(self) -> list[Json]:
        """Each with what was seen, what was missing, and what ended it; the last is open until it ends."""
        self._turn_pages(float("inf"))
        return self._told if self._rollout.phase.done else [*self._told, self._chapter(None)]

    def _turn_pages(self, now: float) -> None:
        """End the chapters whose last moment lies before ``now``."""
        while self._coming and self._coming[0].at < now:
            ending = self._coming.pop(0)
            self._told.append(self._chapter(ending))
            self._phase, self._weight, self._begin = ending.after, ending.weight, ending.at
            self._seen = Seen()

    def _chapter(self, ending: Transition | None) -> Json:
        seen, verdict = self._seen, self._verdict(ending)
        why = "; ".join(verdict.reasons) if verdict else self._rollout.reason
        return {
            "title": _title(self._phase, self._weight),
            "from": self._begin,
            "to": ending.at if ending else seen.last,
            "looks": seen.looks,
            "seen": _what_was_seen(seen),
            "missing": _what_was_missing(seen, self._phase),
            "ended_by": _ended_by(ending) if ending else "",
            "then": str(ending.after) if ending else "",
            "why": ending.reason if ending else why,
            "evidence": [_reading(reading) for reading in verdict.readings] if verdict else [],
        }

    def _verdict(self, ending: Transition | None) -> Verdict | None:
        """The last one of the chapter: as it was recorded if it ended it, else as it is given now."""
        if ending is not None and ending.verdict is not None:
            return ending.verdict
        return self._seen.verdict or (None if ending else self._rollout.verdict)


def _title(phase: Phase, weight: float) -> str:
    match phase:
        case Phase.LOADING:
            return "the candidate loads"
        case Phase.SHADOW:
            return "the candidate gets copies (shadow)"
        case Phase.CANARY:
            return f"the candidate answers {percent(weight)} of the requests"
        case Phase.HELD:
            return f"held at {percent(weight)}" if weight else "held"
        case Phase.PROBATION:
            return "the candidate answers everything (probation)"
        case _:
            return str(phase)


def _ended_by(ending: Transition) -> str:
    """Who decided, for the sentence "ended by ..."."""
    if (decided := ending.verdict) is not None:
        return f"the judge: {decided.decision}" + (f", for {decided.metric}" if decided.metric else "")
    return "a person" if "by hand" in ending.reason else "the controller"


def _what_was_seen(seen: Seen) -> list[str]:
    if not seen.looks:
        return []
    sentences = [
        f"{name}: {failures:,} of {count(requests, 'request')} failed ({percent(failures / requests)})"
        for name, (requests, failures) in seen.arms.items()
        if requests
    ]
    if seen.pairs:
        differed = f"{seen.disagreements:,} of {count(seen.pairs, 'shadow pair')} differed"
        sentences.append(f"{differed} ({percent(seen.disagreements / seen.pairs)})")
    return sentences or ["no request at all"]


def _what_was_missing(seen: Seen, phase: Phase) -> list[str]:
    """Looks that showed nothing, which are neither success nor failure."""
    expected = ("candidate",) if phase is Phase.PROBATION else ("candidate", "stable")
    missing = [
        f"{name} could not be seen in {seen.unseen[name]:,} of {count(seen.looks, 'look')}"
        for name in expected
        if seen.unseen[name]
    ]
    notes = seen.notes.most_common(NOTES_TOLD)
    return missing + [note if often == 1 else f"{note} ({often:,} times)" for note, often in notes]


def _reading(reading: GuardrailReading) -> Json:
    return {
        "metric": reading.metric,
        "stable": reading.stable,
        "candidate": reading.candidate,
        "harm": part(reading.harm, reading.harm_bound),
        "safety": part(reading.safety, reading.safety_bound),
        "demanded": reading.demanded,
        "needed": reading.needed,
        "words": _words(reading),
    }


def part(value: float, bound: float) -> float | None:
    """How far evidence has come of the bound that decides, both as logarithms; None: without a meaning."""
    return value / bound if isfinite(value) and isfinite(bound) and bound > 0 else None


def _words(reading: GuardrailReading) -> str:
    """``worse 0.4 of 200; within the margin 8.1 of 20, about 300 more requests``: how many times likelier
    than by chance, of how many times decide."""
    worse = f"worse {times(reading.harm)} of {times(reading.harm_bound)}"
    if not reading.demanded:
        return f"{worse}; within the margin: not asked for"
    safe = f"within the margin {times(reading.safety)} of {times(reading.safety_bound)}"
    left = f", about {count(reading.needed, 'more request')}" if reading.needed else ""
    return f"{worse}; {safe}{left}"
