"""Observer: guardrails of the owner's own, from Prometheus, HTTP or Python.

A look at a source reads both arms' counters at about the same time. What is told is their rise between two
looks in which both were there; a look in which one is missing moves neither, so both always cover the same
time. A counter that fell, a source that is down, empty or talks nonsense is no data: neither success nor
failure.

The positions are the cursor's, as everywhere. Only looks that began after the cursor did count: the
controller drops the cursor when the weight changes, and a look from before would mix both weights.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from modelserve.domain.guardrails import Guardrail, HttpMetric, Kind, PromQL, PythonMetric
from modelserve.domain.rollouts import Outcome
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.observers.custom.base import Arm, Count, CustomSource, Nothing
from modelserve.observers.custom.figures import Impossible, Reset, trials
from modelserve.observers.custom.http_json import HttpSource
from modelserve.observers.custom.looks import Look, Looks, numbers
from modelserve.observers.custom.prometheus import PrometheusSource
from modelserve.observers.custom.python import PythonSource
from modelserve.observers.custom.web import Web

FORGOTTEN = 60.0
"""Seconds without a question after which a source is let go of."""

Entry = Mapping[str, Any]
"""Where one guardrail stands: the process, the last look taken, and each arm's [total, bad] where known."""


@dataclass(slots=True)
class _Findings:
    """What one reading gathers."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    values: dict[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def nothing(self, guardrail: Guardrail, note: str) -> None:
        if guardrail.kind is Kind.LIMIT:
            self.values[guardrail.key] = None
        else:
            self.outcomes[guardrail.key] = Outcome()
        self.notes.append(f"{guardrail.key}: {note}")


class CustomObserver:
    """``prometheus``: its URL where a source names none; ``allow_code``: whether functions may run."""

    name = "custom"

    def __init__(self, prometheus: str = "", *, allow_code: bool = False) -> None:
        self._prometheus, self._allow_code = prometheus, allow_code
        self._web = Web(HttpSource.patience)
        self._run = uuid.uuid4().hex[:12]
        self._looks: dict[tuple[Any, ...], Looks] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(looks.close() for looks in self._looks.values()))
        await self._web.close()

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        found, following = _Findings(), {}
        for guardrail in subject.guardrails:
            if guardrail.source is not None:
                looks = self._of(subject, guardrail)
                entry = self._begun(cursor.get(guardrail.key))
                following[guardrail.key] = _take(guardrail, looks.source.where, looks.turn(), entry, found)
        await self._forget()
        return Sighting(outcomes=found.outcomes, values=found.values, notes=tuple(found.notes)), following

    def _begun(self, entry: Entry | None) -> Entry:
        """Positions outlive this process; the numbers of its looks do not."""
        if entry is None:
            return {"run": self._run, "after": next(numbers)}
        return entry if entry["run"] == self._run else {**entry, "run": self._run, "after": 0}

    def _of(self, subject: Subject, guardrail: Guardrail) -> Looks:
        key = (subject.service, subject.stable, subject.candidate, subject.shadowing, guardrail)
        if key not in self._looks:
            role = "shadow" if subject.shadowing else "candidate"
            arms = [Arm(subject.service, subject.candidate, role)]
            if guardrail.kind is not Kind.LIMIT:
                arms.insert(0, Arm(subject.service, subject.stable, "stable"))
            self._looks[key] = Looks(self._open(guardrail), arms)
        return self._looks[key]

    def _open(self, guardrail: Guardrail) -> CustomSource:
        kind = guardrail.kind or Kind.RATE
        match guardrail.source:
            case PromQL() as source:
                return PrometheusSource(source, kind, self._web, self._prometheus)
            case HttpMetric() as source:
                return HttpSource(source, kind, self._web)
            case PythonMetric() as source:
                return PythonSource(source, kind, self._allow_code)
        raise AssertionError(f"{guardrail.key} has no source")

    async def _forget(self) -> None:
        long_ago = asyncio.get_running_loop().time() - FORGOTTEN
        for key in [key for key, looks in self._looks.items() if looks.turned < long_ago]:
            await self._looks.pop(key).close()


def _take(guardrail: Guardrail, where: str, look: Look | None, entry: Entry, found: _Findings) -> Entry:
    """What a look adds to what was found; the guardrail's next entry."""
    if look is None:
        return entry
    if missing := [told.why for told in look.told if isinstance(told, Nothing)]:
        found.nothing(guardrail, f"{where} {missing[0]}")
        return entry
    if look.number <= entry["after"]:
        return entry
    if guardrail.kind is Kind.LIMIT:
        found.values[guardrail.key] = next(told for told in look.told if isinstance(told, float))
        return {**entry, "after": look.number}
    return _compare(guardrail, where, look, entry, found)


def _compare(guardrail: Guardrail, where: str, look: Look, entry: Entry, found: _Findings) -> Entry:
    stable, candidate = (told for told in look.told if isinstance(told, Count))
    following = {
        **entry,
        "after": look.number,
        "stable": [stable.total, stable.bad],
        "candidate": [candidate.total, candidate.bad],
    }
    if "stable" not in entry:
        return following
    try:
        found.outcomes[guardrail.key] = Outcome(
            trials(guardrail, Count(*entry["stable"]), stable),
            trials(guardrail, Count(*entry["candidate"]), candidate),
        )
    except Reset:
        found.notes.append(f"{guardrail.key}: the counters of {where} began anew")
    except Impossible as impossible:
        found.nothing(guardrail, f"{where} {impossible}")
        return entry
    return following
