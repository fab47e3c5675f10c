"""Pure: policy and observations to a verdict with its reasons.

``start`` gives the evidence of a rollout that has seen nothing. ``judge`` takes it through one interval
and says what to do. It may be asked after every request: over the whole rollout a candidate that is no worse
than stable is rolled back with probability at most ``falseRollback``, and one that is worse than a
guardrail's margin is promoted with probability at most ``falsePromotion``. What of this is a theorem and what
a heuristic is said in :mod:`modelserve.judge.harm` and :mod:`modelserve.judge.safety`.

An answer is *bad* if it failed or was slower than a limit. *Harm* is evidence that the candidate is worse,
*safety* evidence that it is not worse than the margin; both are logarithms of e-values
(:mod:`modelserve.statistics`). No clock, no I/O, no randomness: equal arguments give equal verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelserve.domain.rollouts import Observation, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.errors import InvalidInput
from modelserve.judge.case import Case
from modelserve.judge.decide import decide
from modelserve.judge.evidence import Evidence, start
from modelserve.judge.plan import Plan, plan
from modelserve.judge.stage import Stage, StageKind
from modelserve.judge.update import enter, learn

__all__ = ["Evidence", "Stage", "StageKind", "judge", "start"]


def judge(
    spec: RolloutSpec, evidence: Evidence, observation: Observation, stage: Stage
) -> tuple[Evidence, Verdict]:
    """One look: the evidence with ``observation`` added, and the verdict on it.

    Raises InvalidInput if ``evidence`` was gathered for other guardrails or steps than ``spec`` has.
    """
    made = plan(spec)
    _check(evidence, made)
    grown = learn(enter(evidence, made, stage), spec, made, observation, stage)
    return grown, decide(Case(spec, made, grown, observation, stage))


def _check(evidence: Evidence, made: Plan) -> None:
    had = [(track.metric.value, len(next(iter(track.safety.wealth), ()))) for track in evidence.tracks]
    wanted = [(rule.key, len(made.weights) if rule.required else 0) for rule in made.rules]
    had += [(family.key, 0) for family in evidence.families] + [(known.key, 0) for known in evidence.limits]
    wanted += [(rule.key, 0) for rule in made.outcomes] + [(rail.key, 0) for rail in made.limits]
    if had != wanted:
        raise InvalidInput(
            f"the evidence was gathered for {_names(had)}, but the spec asks for {_names(wanted)}: start anew"
        )


def _names(tracks: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{key} over {steps} steps" if steps else key for key, steps in tracks)
