"""The first and, for a superseded rollout, the last state."""

from __future__ import annotations

from modelserve.domain.rollouts import Phase, Rollout
from modelserve.domain.services import RolloutSpec
from modelserve.rollout.moves import Move, move


def begin(*, id: str, service: str, stable: str, candidate: str, now: float, direct: bool = False) -> Rollout:
    """A candidate that is about to load; ``stable`` is empty for the first revision of a service."""
    return Rollout(
        id=id,
        service=service,
        stable=stable,
        candidate=candidate,
        phase=Phase.LOADING,
        started=now,
        entered=now,
        direct=direct or not stable,
        reason="a new revision is loading",
    )


def supersede(spec: RolloutSpec, rollout: Rollout, successor: str, now: float) -> Move:
    """End a rollout because ``successor`` takes its place.

    A candidate that was promoted already answers everything: it becomes the stable revision. Any other
    candidate is retired undecided.
    """
    if rollout.course is Phase.PROBATION:
        reason = f"probation ended early: {successor} is rolled out against this revision"
        return move(spec, rollout, Phase.STABLE, reason, now, paused=False)
    return move(spec, rollout, Phase.SUPERSEDED, f"superseded by {successor}", now, paused=False)
