"""Judgements by id: what was seen of each, kept in memory and, with a folder, across restarts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelserve._kit.files import write_atomically
from modelserve.domain.rollouts import Decision, Verdict
from modelserve.errors import Conflict, InvalidInput, ModelServeError, NotFound
from modelserve.judge import tokens
from modelserve.judge.streams import Counts, Increment, Terms, begin, look, terms_of

KEPT = 1000
"""Judgements; beyond it the longest unused leave memory, and without a folder they are forgotten."""
LONGEST_GAP = 60.0
"""Seconds between two looks of which no more counts as time that was watched."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters as they were read last."""

    stable: Counts | None
    candidate: Counts | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One candidate's case."""

    settings: dict[str, Any]
    evidence: str
    version: str = ""
    """Of the candidate; another one begins anew."""
    step: int | None = None
    """Of the settings' steps, where gates that were passed tell it; None: the weight does."""
    totals: Totals | None = None
    at: float = 0.0
    """Unix seconds of the last look."""
    verdict: Verdict | None = None
    """Of the last look; None where there was none since the last step."""
    hard_failure: str = ""
    """What the last look said of one; no evidence has it."""

    @property
    def terms(self) -> Terms:
        return terms_of(self.settings)


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody tells of both arms. ``cumulative``: counters, of which the rise counts."""

    stable: Counts | None
    candidate: Counts | None
    cumulative: bool = False
    seconds: float | None = None
    """None: since the last look."""
    weight: float | None = None
    hard_failure: str = ""
    gated: bool = False
    """Whether the step is told by the gates that were passed, and not by a weight."""


class Judgements:
    """All cases. Safe to use by many at once."""

    def __init__(self, folder: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._folder, self._now = folder, now
        self._known: OrderedDict[str, Judgement] = OrderedDict()
        self._opened: OrderedDict[str, str] = OrderedDict()
        self._lock = asyncio.Lock()

    async def look(
        self, id: str, seen: Seen, settings: dict[str, Any] | None = None, version: str = ""
    ) -> Judgement:
        """Add what was seen. The first look, and that of another ``version``, begins anew.

        Raises Conflict for settings other than those it began with, InvalidInput for what can't be.
        """
        async with self._lock:
            case = await self._find(id)
            if case is None or case.version != version:
                case = _begin(settings or {}, version, 0 if seen.gated else None)
            elif settings is not None and terms_of(settings) != case.terms:
                raise Conflict(f"{id}: began under other settings; delete it first, or send none")
            case = _add(case, seen, self._now())
            await self._keep(id, case)
            return case

    async def next_step(self, id: str, version: str) -> Judgement | None:
        """The judgement, and the step after it begun if it says promote and there is one.

        None, once, where nothing was seen of this version: then the first weight is due. After that NotFound.
        """
        async with self._lock:
            case = await self._find(id)
            if case is None or case.version != version:
                self._open(id, version)
                return None
            if _may_climb(case):
                await self._keep(id, replace(case, step=(case.step or 0) + 1, verdict=None))
            return case

    def _open(self, id: str, version: str) -> None:
        if self._opened.get(id) == version:
            raise NotFound(f"judge {id!r}: nothing was seen of this version; add a rollout webhook")
        self._opened[id] = version
        while len(self._opened) > KEPT:
            self._opened.popitem(last=False)

    async def get(self, id: str) -> Judgement:
        """Raises NotFound."""
        async with self._lock:
            case = await self._find(id)
        if case is None:
            raise NotFound(f"judge {id!r}: nothing was judged under this id; send counts first")
        return case

    async def forget(self, id: str) -> None:
        """Raises NotFound."""
        await self.get(id)
        async with self._lock:
            self._known.pop(id, None)
            if self._folder is not None:
                await asyncio.to_thread(self._file(id).unlink, missing_ok=True)

    async def _find(self, id: str) -> Judgement | None:
        if id in self._known:
            self._known.move_to_end(id)
        elif self._folder is not None and (case := await asyncio.to_thread(_read, self._file(id))):
            self._known[id] = case
        return self._known.get(id)

    async def _keep(self, id: str, case: Judgement) -> None:
        if self._folder is not None:
            await asyncio.to_thread(write_atomically, self._file(id), _written(case))
        self._known[id] = case
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _file(self, id: str) -> Path:
        if self._folder is None:
            raise NotFound(f"judge {id!r}: is kept nowhere")
        return self._folder / f"{hashlib.sha256(id.encode()).hexdigest()[:40]}.json"


def _may_climb(case: Judgement) -> bool:
    promoted = case.verdict is not None and case.verdict.decision is Decision.PROMOTE
    return promoted and case.step is not None and case.step < len(case.terms.steps) - 2


def _begin(settings: dict[str, Any], version: str, step: int | None) -> Judgement:
    terms = terms_of(settings)
    return Judgement(settings, tokens.write(terms, begin(terms)), version, step)


def _add(case: Judgement, seen: Seen, now: float) -> Judgement:
    terms = case.terms
    course = tokens.read(terms, case.evidence)
    totals = Totals(seen.stable, seen.candidate) if seen.cumulative else None
    stable, candidate = _risen(case.totals, totals) if totals else (seen.stable, seen.candidate)
    passed = min(max(0.0, now - case.at), LONGEST_GAP) if case.at else 0.0
    seconds = passed if seen.seconds is None else seen.seconds
    added = Increment(stable, candidate, seconds, seen.weight, case.step, seen.hard_failure)
    course, verdict = look(terms, course, added)
    return replace(
        case,
        evidence=tokens.write(terms, course),
        totals=totals or case.totals,
        at=now,
        verdict=verdict,
        hard_failure=seen.hard_failure,
    )


def _risen(before: Totals | None, after: Totals) -> tuple[Counts | None, Counts | None]:
    """What was added; None for an arm whose counters fell, or that is read for the first time."""
    if before is None:
        return None, None
    return _rise(before.stable, after.stable), _rise(before.candidate, after.candidate)


def _rise(before: Counts | None, after: Counts | None) -> Counts | None:
    if before is None or after is None:
        return None
    n, bad = after[0] - before[0], after[1] - before[1]
    return (n, bad) if 0 <= bad <= n else None


def _written(case: Judgement) -> str:
    totals = None if case.totals is None else [case.totals.stable, case.totals.candidate]
    return json.dumps(
        {
            "settings": case.settings,
            "evidence": case.evidence,
            "version": case.version,
            "step": case.step,
            "totals": totals,
            "at": case.at,
            "hard_failure": case.hard_failure,
        }
    )


def _read(file: Path) -> Judgement | None:
    """None where there is none, or none that this version can read: that begins anew."""
    try:
        told = json.loads(file.read_text("utf-8"))
        totals = told["totals"] and Totals(*(counts and (counts[0], counts[1]) for counts in told["totals"]))
        case = Judgement(
            told["settings"],
            told["evidence"],
            told["version"],
            told["step"],
            totals,
            float(told["at"]),
            hard_failure=told.get("hard_failure", ""),
        )
        return replace(case, verdict=_judged_again(case))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, ModelServeError):
        return None


def _judged_again(case: Judgement) -> Verdict | None:
    """The verdict of the last look, if that was at the present step."""
    terms = case.terms
    course = tokens.read(terms, case.evidence)
    if case.step is not None and case.step != course.step:
        return None
    return look(terms, course, Increment(None, None, 0.0, None, course.step, case.hard_failure))[1]


def counts_of(told: Any, arm: str) -> Counts | None:
    """``{"n": 900, "bad": 3}`` or null. Raises InvalidInput; what they hold is checked where they count."""
    if told is None:
        return None
    if not isinstance(told, dict) or set(told) != {"n", "bad"}:
        raise InvalidInput(f'{arm}: got {str(told)[:80]!r}; write {{"n": requests, "bad": bad ones}}')
    return told["n"], told["bad"]
