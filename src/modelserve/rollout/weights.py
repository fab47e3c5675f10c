"""How much live traffic a candidate gets where it stands."""

from __future__ import annotations

from modelserve.domain.rollouts import Phase, Rollout
from modelserve.domain.services import RolloutSpec

FIRST_RATE = 2.0
"""Requests per second that a candidate should get at once, so that a fault shows within seconds."""
FIRST_MOST = 0.2
"""Share of live traffic that a candidate may get at first, however little there is."""
MEASURE = 5.0
"""Seconds of stable's traffic that tell its rate."""


def candidate_weight(spec: RolloutSpec, rollout: Rollout) -> float:
    """The candidate's share of live traffic, in 0..1."""
    match rollout.course:
        case Phase.CANARY:
            return spec.canary.ladder[rollout.step]
        case Phase.PROBATION | Phase.STABLE:
            return 1.0
        case _:
            return 0.0


def next_weight(spec: RolloutSpec, rollout: Rollout, now: float) -> float:
    """The share that a promote verdict would lead to, in 0..1."""
    if rollout.course is Phase.PROBATION:
        return 1.0
    ladder = spec.canary.ladder
    return ladder[min(next_step(spec, rollout, now), len(ladder) - 1)]


def next_step(spec: RolloutSpec, rollout: Rollout, now: float) -> int:
    """Index of the weight that follows; past the ladder's end after its last."""
    return rollout.step + 1 if rollout.step >= 0 else first_step(spec, rollout, now)


def first_step(spec: RolloutSpec, rollout: Rollout, now: float) -> int:
    """Index of the weight to begin with.

    Where the spec leaves the steps out: the first that gives the candidate ``FIRST_RATE`` requests per
    second, going by what stable had since the rollout began, and never more than ``FIRST_MOST``.
    """
    ladder = spec.canary.ladder
    if spec.canary.steps is not None:
        return 0
    rate = rollout.totals.get("stable_requests", 0) / max(now - rollout.started, 1.0)
    return next(i for i, weight in enumerate(ladder) if is_enough(weight, rate))


def is_enough(weight: float, rate: float) -> bool:
    """Whether a rollout may begin with ``weight`` where stable gets ``rate`` requests/s."""
    return weight * rate >= FIRST_RATE or weight >= FIRST_MOST


def must_measure(spec: RolloutSpec, rollout: Rollout, now: float) -> bool:
    """Whether stable's traffic has to be watched for a while longer before the first weight is chosen."""
    chooses = spec.canary.steps is None and spec.shadow is None and not rollout.direct
    return chooses and now - rollout.started < MEASURE
