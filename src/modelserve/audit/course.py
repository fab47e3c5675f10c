"""A rollout over time, to be drawn: evidence beside its bounds, weights, and what each arm got."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from modelserve.audit.record import Record, Step
from modelserve.audit.rejudge import Rejudging
from modelserve.audit.story import part
from modelserve.domain.rollouts import ArmCounts, Transition

Json = dict[str, Any]


def course(record: Record, points: int) -> Json:
    """At most about ``points`` points, each of one or more looks in a row that belong to one stage.

    ``evidence`` is ``{metric: [harm, safety]}``: parts of their bounds, as logarithms, so that 1 decides.
    Harm is the largest among the looks of a point, safety the last; safety is None where it is not asked for.
    """
    rollout, size = record.rollout, max(1, -(-len(record.lines) // points))
    steps = (step for step in Rejudging(record).steps() if step.verdict is not None)
    return {
        "id": rollout.id,
        "service": rollout.service,
        "stable": rollout.stable,
        "candidate": rollout.candidate,
        "phase": str(rollout.phase),
        "looks": {"made": rollout.looks, "kept": len(record.lines)},
        "transitions": [_transition(t) for t in record.transitions],
        "points": [_point(group) for group in _groups(steps, size)],
    }


def _groups(steps: Iterable[Step], size: int) -> Iterator[Sequence[Step]]:
    """Looks in a row, as many in each; one that changed the state ends its group."""
    group: list[Step] = []
    for step in steps:
        group.append(step)
        if len(group) >= size or step.transition is not None:
            yield group
            group = []
    if group:
        yield group


def _point(group: Sequence[Step]) -> Json:
    first, last = group[0], group[-1]
    seen = [step.look.observation for step in group]
    return {
        "at": last.look.at,
        "seconds": sum(each.seconds for each in seen),
        "stage": last.look.stage.get("kind", ""),
        "weight": first.look.stage.get("weight", 0.0),
        "candidate": _arm(each.candidate for each in seen),
        "stable": _arm(each.stable for each in seen),
        "evidence": _evidence(group),
    }


def _arm(counts: Iterable[ArmCounts | None]) -> list[int] | None:
    """[requests, failures]; None if it was not seen at all."""
    seen = [each for each in counts if each is not None]
    return [sum(each.requests for each in seen), sum(each.failures for each in seen)] if seen else None


def _evidence(group: Sequence[Step]) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for step in group:
        for reading in step.verdict.readings if step.verdict else ():
            harm, before = part(reading.harm, reading.harm_bound), found.get(reading.metric, [None])[0]
            most = harm if before is None else before if harm is None else max(harm, before)
            safety = part(reading.safety, reading.safety_bound) if reading.demanded else None
            found[reading.metric] = [most, safety]
    return found


def _transition(transition: Transition) -> Json:
    return {
        "at": transition.at,
        "after": str(transition.after),
        "weight": transition.weight,
        "reason": transition.reason,
        "metric": transition.verdict.metric if transition.verdict else "",
    }
