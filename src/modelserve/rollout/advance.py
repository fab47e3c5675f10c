"""The journey of a candidate, one tick at a time.

``advance`` is the only place where a verdict changes a state::

    loading ──► shadow ──► canary step by step ──► probation ──► stable
       │           │  ▲         │  ▲                   │
       │           ▼  │         ▼  │                   │
       │          held ◄──────► held                   │
       └───────────┴────────────┴──────────────────────┴────► rolled back
"""

from __future__ import annotations

from dataclasses import replace

from modelserve.domain.quantities import format_duration, format_percent
from modelserve.domain.rollouts import Decision, Observation, Phase, Rollout, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.rollout.commands import roll_back
from modelserve.rollout.moves import Move, forward, move
from modelserve.rollout.weights import must_measure, next_weight

HOLD_PATIENCE = 10.0
"""Seconds that the judge must say hold for want of data before the rollout counts as held; a hold that
names what decided it (``Verdict.metric``) counts at once."""


def advance(spec: RolloutSpec, rollout: Rollout, seen: Observation, verdict: Verdict, now: float) -> Move:
    """The next state, and the transition to write if the phase or the step changes."""
    if rollout.phase.done:
        return rollout, None
    if seen.hard_failure:
        return _harmed(spec, rollout, seen.hard_failure, now, verdict)
    if rollout.course is Phase.LOADING:
        return _loading(spec, rollout, seen, now)
    rollout = replace(rollout, verdict=verdict)
    match verdict.decision:
        case Decision.ROLL_BACK:
            return _harmed(spec, rollout, "; ".join(verdict.reasons), now, verdict)
        case Decision.HOLD:
            return _hold(spec, rollout, verdict, now)
        case _ if rollout.paused:
            return rollout, None
        case _ if rollout.phase is Phase.HELD:
            return move(spec, rollout, rollout.course, "there is evidence again", now, verdict)
    return _go_on(spec, replace(rollout, holding_since=None), verdict, now)


def _loading(spec: RolloutSpec, rollout: Rollout, seen: Observation, now: float) -> Move:
    if rollout.paused:
        return rollout, None
    if seen.candidate_ready:
        if must_measure(spec, rollout, now):
            return rollout, None
        return forward(spec, rollout, f"{rollout.candidate} is ready", now, None)
    if now - rollout.entered > spec.loading_timeout:
        limit = format_duration(spec.loading_timeout)
        return roll_back(spec, rollout, f"{rollout.candidate} was not ready within {limit}", now)
    return rollout, None


def _harmed(spec: RolloutSpec, rollout: Rollout, reason: str, now: float, verdict: Verdict) -> Move:
    after, transition = roll_back(spec, rollout, reason, now)
    return after, replace(transition, verdict=verdict) if transition else None


def _hold(spec: RolloutSpec, rollout: Rollout, verdict: Verdict, now: float) -> Move:
    since = rollout.holding_since if rollout.holding_since is not None else now
    rollout = replace(rollout, holding_since=since)
    passing = not verdict.metric and now - since < HOLD_PATIENCE
    if passing or rollout.phase in (Phase.HELD, Phase.PROBATION):
        return _probation_over(spec, rollout, verdict, now)
    reason = "; ".join(verdict.reasons)
    course = rollout.course
    return move(spec, rollout, Phase.HELD, reason, now, verdict, resume_phase=course, cursor=rollout.cursor)


def _go_on(spec: RolloutSpec, rollout: Rollout, verdict: Verdict, now: float) -> Move:
    if rollout.course is Phase.PROBATION:
        return _probation_over(spec, rollout, verdict, now)
    if verdict.decision is not Decision.PROMOTE:
        return rollout, None
    target = format_percent(next_weight(spec, rollout, now))
    reason = "; ".join((f"evidence suffices for {target}", *verdict.reasons))
    return forward(spec, rollout, reason, now, verdict)


def _probation_over(spec: RolloutSpec, rollout: Rollout, verdict: Verdict, now: float) -> Move:
    if rollout.phase is Phase.PROBATION and now - rollout.entered >= spec.probation:
        reason = f"no late regression in {format_duration(spec.probation)} of probation"
        return move(spec, rollout, Phase.STABLE, reason, now, verdict)
    return rollout, None
