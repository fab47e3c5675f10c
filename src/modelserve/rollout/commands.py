"""What a person tells a rollout, checked against where it stands."""

from __future__ import annotations

from modelserve.domain.rollouts import Command, Decision, Phase, Rollout
from modelserve.domain.services import RolloutSpec
from modelserve.errors import Conflict
from modelserve.rollout.moves import Move, move, promoted


def command(spec: RolloutSpec, rollout: Rollout, what: Command, now: float) -> Move:
    """Raises Conflict, with what is possible instead, when the rollout is not where ``what`` makes sense."""
    if rollout.phase.done:
        why = f"{rollout.phase}: {rollout.reason}" if rollout.reason else rollout.phase
        raise Conflict(f"the rollout of {rollout.candidate} is over ({why}); there is nothing to {what}")
    match what:
        case Command.PAUSE:
            return _pause(spec, rollout, now)
        case Command.RESUME:
            return _resume(spec, rollout, now)
        case Command.PROMOTE:
            return _promote(spec, rollout, now)
        case Command.ABORT:
            return roll_back(spec, rollout, "aborted by hand", now)


def roll_back(spec: RolloutSpec, rollout: Rollout, reason: str, now: float) -> Move:
    """The route flip back to the old revision."""
    if not rollout.stable:
        reason += "; there is no earlier revision to go back to"
    return move(spec, rollout, Phase.ROLLED_BACK, reason, now, paused=False)


def _pause(spec: RolloutSpec, rollout: Rollout, now: float) -> Move:
    if rollout.paused:
        raise Conflict(f"the rollout of {rollout.candidate} is paused already; resume, promote or abort it")
    course = rollout.course
    return move(spec, rollout, Phase.HELD, "paused by hand", now, paused=True, resume_phase=course)


def _resume(spec: RolloutSpec, rollout: Rollout, now: float) -> Move:
    if rollout.phase is not Phase.HELD:
        raise Conflict(f"the rollout of {rollout.candidate} is {rollout.phase}, not held: nothing to resume")
    verdict = rollout.verdict
    if not rollout.paused and verdict and verdict.decision is Decision.HOLD and verdict.metric:
        raise Conflict(f"the judge holds {rollout.candidate}: {verdict.reasons[0]}; promote or abort it")
    rested = rollout.rested + (now - rollout.entered if rollout.paused else 0.0)
    return move(spec, rollout, rollout.course, "resumed by hand", now, paused=False, rested=rested)


def _promote(spec: RolloutSpec, rollout: Rollout, now: float) -> Move:
    if rollout.course is Phase.PROBATION:
        return move(spec, rollout, Phase.STABLE, "probation ended by hand", now, paused=False)
    if rollout.course is Phase.LOADING:
        raise Conflict(f"{rollout.candidate} is still loading: it can be promoted once it is ready")
    return promoted(spec, rollout, "promoted by hand", now, None)
