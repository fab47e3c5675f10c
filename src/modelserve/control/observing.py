"""One look at a rollout: what all observers saw, joined into one observation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelserve.domain.rollouts import ArmCounts, Observation, Phase, Rollout
from modelserve.domain.services import Judge, Shadow
from modelserve.domain.workloads import Replica, ReplicaPhase
from modelserve.observers.base import Cursor, Observer, Sighting, Subject

PATIENCE = 0.8
"""Seconds that one observer may take."""
READINESS_PATIENCE = 10.0
"""Seconds without a ready candidate server after which a candidate that takes traffic is rolled back."""


LONGEST_LOOK = 5.0
"""Seconds between two looks beyond which nobody was watching: the controller was down, or could not write."""


def skip_unwatched(rollout: Rollout, now: float) -> Rollout:
    """Time in which nobody watched counts for nothing: no patience runs out in it, no probation passes."""
    gap = now - rollout.cursor.get("at", rollout.entered)
    if gap <= LONGEST_LOOK:
        return rollout
    cursor = {**rollout.cursor, "unready_since": None} if rollout.cursor else {}
    return replace(
        rollout,
        started=rollout.started + gap,
        entered=rollout.entered + gap,
        holding_since=None,
        cursor=cursor,
    )


async def observe(
    observers: Sequence[Observer],
    rollout: Rollout,
    rules: Judge,
    weight: float,
    replicas: Sequence[Replica],
    now: float,
    shadow: Shadow | None = None,
    repeats: bool = False,
) -> tuple[Observation, Mapping[str, Any]]:
    """Ask all observers at once; returns what they saw and the cursor to store with it."""
    subject = replace(_subject(rollout, rules, replicas), shadow=shadow or Shadow(), repeats=repeats)
    cursor = rollout.cursor
    readings = await asyncio.gather(*(_read(o, subject, cursor.get(o.name, {})) for o in observers))
    sightings = [sighting for sighting, _ in readings]
    following: dict[str, Any] = {o.name: c for o, (_, c) in zip(observers, readings, strict=True)}
    following["at"] = now
    ready = _ready(rollout, replicas, [s.candidate_ready for s in sightings])
    following["unready_since"] = None if ready else cursor.get("unready_since") or now
    seen = _join(sightings, seconds=now - cursor.get("at", now), weight=weight, ready=ready)
    failure = _hard_failure(rollout, replicas, following["unready_since"], now)
    return replace(seen, hard_failure=failure), following


async def _read(observer: Observer, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
    """One observer's look, given up after a while: a frozen server must not hold up the tick."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await observer.read(subject, cursor)
    except TimeoutError:
        return Sighting(notes=(f"{observer.name} gave nothing within {PATIENCE:g} s",)), cursor


def _subject(rollout: Rollout, rules: Judge, replicas: Sequence[Replica]) -> Subject:
    return Subject(
        rollout.service,
        rollout.stable,
        rollout.candidate,
        tuple(r for r in replicas if r.workload in (rollout.stable, rollout.candidate)),
        rollout.course is Phase.SHADOW,
        rules.guardrails,
        rules.segments,
    )


def _join(sightings: Sequence[Sighting], *, seconds: float, weight: float, ready: bool) -> Observation:
    """The proxy's counts (it also saw what never reached a server) with the servers' finer latencies, and
    what each other observer told; of two that tell the same the earlier one counts."""
    return Observation(
        seconds=max(0.0, seconds),
        candidate_weight=weight,
        stable=_arm([s.stable for s in sightings]),
        candidate=_arm([s.candidate for s in sightings]),
        pairs=next((s.pairs for s in sightings if s.pairs is not None), None),
        candidate_ready=ready,
        outcomes={key: told for s in reversed(sightings) for key, told in s.outcomes.items()},
        values={key: told for s in reversed(sightings) for key, told in s.values.items()},
        labelled={key: told for s in reversed(sightings) for key, told in s.labelled.items()},
        notes=tuple(note for s in sightings for note in s.notes),
    )


def _arm(seen: Sequence[ArmCounts | None]) -> ArmCounts | None:
    """Requests and failures from the first observer, which is the proxy's; latency from whoever has it."""
    if not seen or seen[0] is None:
        return None
    latency = next((counts.latency for counts in seen if counts and counts.latency), ())
    return replace(seen[0], latency=latency)


def _ready(rollout: Rollout, replicas: Sequence[Replica], seen: Sequence[bool | None]) -> bool:
    """Before it takes traffic all of the candidate must be ready, to the proxy too; later, any of it."""
    mine = [r.phase is ReplicaPhase.READY for r in replicas if r.workload == rollout.candidate]
    if rollout.course is Phase.LOADING:
        return bool(mine) and all(mine) and False not in seen
    return any(mine)


def _hard_failure(
    rollout: Rollout, replicas: Sequence[Replica], unready_since: float | None, now: float
) -> str:
    for replica in replicas:
        if replica.workload == rollout.candidate and replica.phase is ReplicaPhase.CRASH_LOOPING:
            return f"{rollout.candidate} can't run: {replica.reason or 'it crashes again and again'}"
    if rollout.course is not Phase.LOADING and unready_since and now - unready_since >= READINESS_PATIENCE:
        return f"no server of {rollout.candidate} has been ready for {now - unready_since:.0f} s"
    return ""
