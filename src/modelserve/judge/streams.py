"""The judge on two count streams, for whoever splits traffic by other means.

A *stream* is one arm's requests and how many of them were bad: failed, slow, wrong, whatever counts. It comes
in increments, as often as one likes. Everything that decides is :func:`modelserve.judge.judge`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from modelserve.domain.guardrails import Guardrail, Metric
from modelserve.domain.quantities import Duration, Percent, format_percent
from modelserve.domain.rollouts import ArmCounts, Observation, Verdict
from modelserve.domain.sections import Section
from modelserve.domain.services import Canary, RolloutSpec
from modelserve.domain.services import Judge as Promise
from modelserve.errors import InvalidInput
from modelserve.judge import judge
from modelserve.judge.evidence import Evidence, start
from modelserve.judge.stage import Stage

MOST = 2**53
"""Largest count: what a float keeps exactly."""
LONGEST = 86400.0
"""Seconds that one increment may cover."""
Counts = tuple[int, int]
"""(requests, bad ones of them)"""


class Terms(Section):
    """What the judge promises, and what it guards."""

    false_rollback: Annotated[Percent, Field(gt=0, lt=0.5)] = 0.01
    """Largest chance of rolling back a candidate that is no worse, however often one asks."""
    false_promotion: Annotated[Percent, Field(gt=0, lt=0.5)] = 0.05
    """Largest chance of promoting one that is worse than the margin."""
    max_increase: Annotated[Percent, Field(gt=0, lt=1)] = 0.002
    """The margin, in percentage points on top of ``maxRatio`` times stable's share of bad ones."""
    max_ratio: Annotated[float, Field(ge=1, le=100)] = 1.25
    """What stable's share is multiplied by before the margin is added."""
    steps: Annotated[tuple[Percent, ...], Field(min_length=1, max_length=20)] = (1.0,)
    """The weights that the candidate climbs, the last 100%. A step tolerates a margin that harms the same
    share of everybody, so a small one needs fewer requests. Only ``100%``: promote means everything."""
    min_step: Duration = 0.0
    """Least time at one step."""

    @field_validator("steps")
    @classmethod
    def _climb(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        return Canary(steps=tuple(format_percent(step) for step in steps)).ladder

    @property
    def spec(self) -> RolloutSpec:
        """As the judge reads it; the last comparison is made from whatever weight comes before 100%.

        There is no deadline: whoever asks knows when to stop.
        """
        errors = Guardrail(
            metric=Metric.ERROR_RATE, max_increase=_text(self.max_increase), max_ratio=self.max_ratio
        )
        promise = Promise(
            false_rollback=_text(self.false_rollback),
            false_promotion=_text(self.false_promotion),
            guardrails=(errors,),
            warm_up="0s",
        ).model_copy(update={"deadline": math.inf})
        steps = self.steps if len(self.steps) > 1 else (0.5, 1.0)
        canary = Canary(steps=tuple(map(_text, steps))).model_copy(update={"min_step": self.min_step})
        return RolloutSpec(shadow=None, canary=canary, judge=promise)


def _text(share: float) -> Any:
    """As pydantic's validators want it; they turn it into a float."""
    return format_percent(share)


def terms_of(settings: Any) -> Terms:
    """Raises InvalidInput that names the field, the value and what would be right."""
    if not isinstance(settings, dict):
        raise InvalidInput(f"settings: got {type(settings).__name__}; write an object")
    try:
        return Terms.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("settings", *first["loc"]))
        known = ", ".join(str(field.alias) for field in Terms.model_fields.values())
        fix = f"there are {known}" if first["type"] == "extra_forbidden" else first["msg"]
        raise InvalidInput(f"{where}: got {str(first['input'])[:80]!r}; {fix}") from None


@dataclass(frozen=True, slots=True)
class Course:
    """All that is remembered between two increments; immutable, of constant size."""

    evidence: Evidence
    elapsed: float = 0.0
    entered: float = 0.0
    """When the present step was entered."""
    step: int = 0
    """Index into the steps of the weight that the candidate has."""


def begin(terms: Terms) -> Course:
    return Course(start(terms.spec))


@dataclass(frozen=True, slots=True)
class Increment:
    """What both arms did in ``seconds``. Raises InvalidInput for counts that can't be. None: not seen."""

    stable: Counts | None
    candidate: Counts | None
    seconds: float = 1.0
    weight: float | None = None
    """The share that the candidate was given, in 0..1; it tells the step. None: not known, and then the split
    is not checked."""
    step: int | None = None
    """Index of the step, where it is known without a weight."""
    hard_failure: str = ""
    """Why the candidate must go whatever was counted."""

    def __post_init__(self) -> None:
        for arm, counts in (("stable", self.stable), ("candidate", self.candidate)):
            if counts is not None:
                _check(arm, counts)
        if not _is_number(self.seconds) or not 0 <= self.seconds <= LONGEST:
            raise InvalidInput(f"seconds: got {self.seconds!r}; write how long it took, in 0..{LONGEST:.0f}")
        if self.weight is not None and not (_is_number(self.weight) and 0 < self.weight <= 1):
            raise InvalidInput(
                f"weight: got {self.weight!r}; write the candidate's share, above 0 and up to 1"
            )


def _check(arm: str, counts: Any) -> None:
    try:
        n, bad = counts
    except (TypeError, ValueError):
        raise InvalidInput(f"{arm}: got {str(counts)[:80]!r}; write (requests, bad ones)") from None
    for name, value in (("n", n), ("bad", bad)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 0 <= value <= MOST:
            raise InvalidInput(f"{arm}.{name}: got {str(value)[:80]!r}; write a whole number from 0 to 2^53")
    if bad > n:
        raise InvalidInput(
            f"{arm}.bad: got {bad}, more than the {n} requests; write how many of them were bad"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def look(terms: Terms, course: Course, seen: Increment) -> tuple[Course, Verdict]:
    """The course with ``seen`` added, and the verdict: ``roll back``, ``promote`` to the next step,
    ``continue`` or ``hold``.

    Raises InvalidInput for a course that was not begun under ``terms``.
    """
    spec, elapsed = terms.spec, course.elapsed + seen.seconds
    step = _step(terms, seen)
    entered = course.entered if step == course.step else course.elapsed
    steps = spec.canary.ladder
    stage = Stage("canary", _share(steps, step, seen), steps[step + 1], elapsed - entered, elapsed)
    try:
        evidence, verdict = judge(spec, course.evidence, _observed(seen), stage)
    except (ArithmeticError, IndexError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"evidence: it was not gathered by this judge under these settings: {error}"
        ) from None
    evidence = Evidence.load(evidence.dump())  # as a token would: whole numbers become floats
    return replace(course, evidence=evidence, elapsed=elapsed, entered=entered, step=step), verdict


def _observed(seen: Increment) -> Observation:
    stable, candidate = (None if arm is None else ArmCounts(*arm) for arm in (seen.stable, seen.candidate))
    return Observation(seen.seconds, seen.weight or 0.0, stable, candidate, hard_failure=seen.hard_failure)


def _step(terms: Terms, seen: Increment) -> int:
    """The step whose weight is nearest to the candidate's; never 100%, which leaves nothing to compare."""
    steps = terms.steps
    if len(steps) == 1:
        return 0
    if seen.step is not None:
        return min(seen.step, len(steps) - 2)
    if seen.weight is None:
        told = ", ".join(map(format_percent, steps))
        raise InvalidInput(f"weight: got none; say which of settings.steps ({told}) the candidate has")
    weight = seen.weight
    return min(range(len(steps) - 1), key=lambda index: abs(math.log(steps[index] / weight)))


def _share(steps: tuple[float, ...], step: int, seen: Increment) -> float:
    """The candidate's share of traffic: as told, else as counted; only estimates rest on it."""
    n, m = (0 if arm is None else arm[0] for arm in (seen.candidate, seen.stable))
    counted = n / (n + m) if n and m else None
    return seen.weight or counted or steps[step]
