"""Pure: one look at a rollout, from what was seen to what the judge says of it.

The controller and every rehearsal ask here, so a rehearsal can't decide otherwise than production would.
What follows from the verdict is :func:`modelserve.rollout.advance`, for both of them too.
"""

from __future__ import annotations

from modelserve.domain.rollouts import Observation, Phase, Rollout, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, Stage, StageKind, judge
from modelserve.rollout import candidate_weight, next_weight

__all__ = ["opinion", "stage"]

_KINDS: dict[Phase, StageKind] = {Phase.SHADOW: "shadow", Phase.PROBATION: "probation"}


def opinion(
    spec: RolloutSpec, rollout: Rollout, evidence: Evidence, seen: Observation, now: float
) -> tuple[Evidence, Verdict]:
    """The evidence with ``seen`` added, and the verdict. For a candidate that has loaded.

    Raises InvalidInput if ``evidence`` was gathered for other guardrails or steps than ``spec`` has.
    """
    return judge(spec, evidence, seen, stage(spec, rollout, now))


def stage(spec: RolloutSpec, rollout: Rollout, now: float) -> Stage:
    """Where a rollout stands, in the judge's words."""
    return Stage(
        kind=_KINDS.get(rollout.course, "canary"),
        weight=candidate_weight(spec, rollout),
        next_weight=next_weight(spec, rollout, now),
        elapsed_in_stage=now - rollout.entered,
        elapsed=rollout.elapsed(now),
    )
