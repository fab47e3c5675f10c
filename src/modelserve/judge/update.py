"""One observation into the evidence, by the kind of stage.

========== =========================================== ====================== =====
stage      harm                                        safety                 also
========== =========================================== ====================== =====
shadow     errors: the copies' against live stable's   errors, likewise       pairs
canary     every guardrail                             every guardrail        split
probation  every guardrail, against stable's record    none                   none
========== =========================================== ====================== =====

A copy that fails is a real request that the candidate can't answer. How long a copy takes says less: it runs
beside its original, and stable alone has the full load; so latency waits for the canary.

The candidate's latency in the first ``warmUp`` seconds after its first live request says nothing either:
caches fill, memory is got from the system, and the requests that meet this come together.

An interval in which an arm was not seen adds nothing; what stable did in it is still learnt from. Outcomes
(:mod:`modelserve.judge.outcomes`), labelled pairs (:mod:`modelserve.judge.labelled`) and plain limits
(:mod:`modelserve.judge.limits`) count in every stage.
"""

from __future__ import annotations

from dataclasses import replace

from modelserve.domain.rollouts import Observation
from modelserve.domain.services import RolloutSpec
from modelserve.judge import harm, labelled, limits, outcomes, safety
from modelserve.judge.checks import see_pairs, see_split
from modelserve.judge.evidence import Evidence, Silence, Tally, Track
from modelserve.judge.plan import Plan
from modelserve.judge.samples import UNSEEN, View
from modelserve.judge.stage import Stage

_RESTART_EVERY = 60.0


def enter(evidence: Evidence, made: Plan, stage: Stage) -> Evidence:
    """What a new stage or step changes."""
    if evidence.stage == stage.name:
        return evidence
    tracks, families, bound = evidence.tracks, evidence.families, made.safety_bound
    if stage.kind == "canary" and evidence.stage:
        tracks = tuple(replace(t, safety=safety.enter_step(t.safety, bound)) for t in tracks)
        families = outcomes.enter_step(families, bound)
    if stage.kind == "probation":
        tracks = tuple(replace(t, harm=harm.restart(t.harm)) for t in tracks)
        families = outcomes.enter_probation(families)
    return replace(
        evidence,
        tracks=tracks,
        families=tuple(replace(family, silence=0.0) for family in families),
        limits=tuple(replace(known, silence=0.0) for known in evidence.limits),
        split=evidence.split.restart(),
        step=Tally(),
        silence=Silence(),
        stage=stage.name,
    )


def learn(evidence: Evidence, spec: RolloutSpec, made: Plan, seen: Observation, stage: Stage) -> Evidence:
    """Everything that one observation says; the past is extended last, so that limits stay predictable."""
    warm = _warm(evidence, seen, stage)
    if seen.candidate is not None and warm is not None and (evidence.warm or 0.0) < spec.judge.warm_up:
        seen = replace(seen, candidate=replace(seen.candidate, latency=()))
    tracks = _tracks(evidence, made, seen, stage)
    clock = evidence.seen + _compared(seen, stage)
    again = clock // _RESTART_EVERY > evidence.seen // _RESTART_EVERY
    if again:
        tracks = tuple(Track(t.metric, harm.restart(t.harm), safety.restart(t.safety)) for t in tracks)
    pairs, split = evidence.pairs, evidence.split
    if stage.kind == "shadow" and spec.shadow is not None and seen.pairs is not None:
        pairs = see_pairs(pairs, seen.pairs, spec.shadow.max_disagreement)
    if stage.kind == "canary":
        split = see_split(split, seen, stage)
    return Evidence(
        tracks=tracks,
        split=split,
        pairs=pairs,
        families=labelled.learn(
            outcomes.learn(evidence.families, made, seen, stage, again), made, seen.labelled
        ),
        limits=limits.learn(evidence.limits, made, seen),
        stable=evidence.stable.add(seen.stable) if stage.kind != "probation" else evidence.stable,
        candidate=evidence.candidate.add(seen.candidate),
        whole=evidence.whole.add(seen.candidate, seen.stable if stage.kind != "probation" else None),
        step=evidence.step.add(seen.candidate, seen.stable),
        seen=clock,
        warm=warm,
        silence=evidence.silence.listen(seen, _share(spec, seen, stage), _heard(seen, stage)),
        stage=stage.name,
    )


def _tracks(evidence: Evidence, made: Plan, seen: Observation, stage: Stage) -> tuple[Track, ...]:
    past, stable, candidate = View.of(evidence.stable), View.of(seen.stable), View.of(seen.candidate)
    if stage.kind == "shadow":
        candidate = View(candidate.requests, candidate.failures, UNSEEN.slow)
    ahead = made.ahead(stage)
    tracks = []
    for track, rule in zip(evidence.tracks, made.rules, strict=True):
        if stage.kind == "probation":
            watched = harm.watch(track.harm, rule, candidate, past, evidence.whole)
            tracks.append(Track(track.metric, watched, track.safety))
            continue
        compared = harm.compare(track.harm, rule, stable, candidate, past)
        cleared = safety.compare(track.safety, rule, ahead, stable, candidate, past)
        tracks.append(Track(track.metric, compared, cleared))
    return tuple(tracks)


def _warm(evidence: Evidence, seen: Observation, stage: Stage) -> float | None:
    """Seconds since the candidate's first live request in which it was seen."""
    if seen.candidate is None or stage.kind == "shadow":
        return evidence.warm
    if evidence.warm is not None:
        return evidence.warm + seen.seconds
    return seen.seconds if seen.candidate.arrived > 0 else None


def _compared(seen: Observation, stage: Stage) -> float:
    """Seconds of this interval in which the candidate could be judged."""
    comparable = seen.stable is not None or stage.kind == "probation"
    return seen.seconds if seen.candidate is not None and comparable else 0.0


def _share(spec: RolloutSpec, seen: Observation, stage: Stage) -> float:
    """Candidate requests (or pairs) to expect for each request that stable gets."""
    if stage.kind == "shadow":
        return spec.shadow.share if spec.shadow else 0.0
    told = seen.candidate_weight
    return told / (1 - told) if 0 <= told < 1 else 0.0


def _heard(seen: Observation, stage: Stage) -> bool:
    if stage.kind == "shadow":
        return seen.pairs is not None and seen.pairs.pairs > 0
    return seen.candidate is not None and seen.candidate.arrived > 0
