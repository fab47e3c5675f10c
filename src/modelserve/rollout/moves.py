"""One move of a rollout: the new state and the transition that tells of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelserve.domain.rollouts import Phase, Rollout, Transition, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.rollout.weights import candidate_weight, next_step

Move = tuple[Rollout, Transition | None]


def move(
    spec: RolloutSpec,
    rollout: Rollout,
    phase: Phase,
    reason: str,
    now: float,
    verdict: Verdict | None = None,
    **changes: Any,
) -> Move:
    """Enter ``phase``. The cursor is dropped: counts from before the move say nothing about what follows; but
    labels are counted apart for each weight, and go on coming for what was predicted before."""
    kept = {name: where for name, where in rollout.cursor.items() if name == "labels"}
    fresh: dict[str, Any] = {"entered": now, "cursor": kept, "resume_phase": None, "holding_since": None}
    after = replace(rollout, **(fresh | {"phase": phase, "reason": reason} | changes))
    return after, Transition(
        rollout=rollout.id,
        at=now,
        before=rollout.phase,
        after=phase,
        weight=candidate_weight(spec, after),
        reason=reason,
        verdict=verdict,
    )


def forward(spec: RolloutSpec, rollout: Rollout, reason: str, now: float, verdict: Verdict | None) -> Move:
    """Enter whatever follows the course that the rollout is on."""
    ladder = spec.canary.ladder
    if rollout.direct:
        return promoted(spec, rollout, reason, now, verdict)
    if rollout.course is Phase.LOADING and spec.shadow is not None:
        return move(spec, rollout, Phase.SHADOW, reason, now, verdict)
    step = next_step(spec, rollout, now)
    if step < len(ladder) and ladder[step] < 1.0:
        return move(spec, rollout, Phase.CANARY, reason, now, verdict, step=step)
    return promoted(spec, rollout, reason, now, verdict)


def promoted(spec: RolloutSpec, rollout: Rollout, reason: str, now: float, verdict: Verdict | None) -> Move:
    """The route flip: the candidate answers everything. Without an old revision there is no probation."""
    phase = Phase.PROBATION if rollout.stable else Phase.STABLE
    return move(spec, rollout, phase, reason, now, verdict, step=len(spec.canary.ladder) - 1, paused=False)
