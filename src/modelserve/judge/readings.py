"""Where each guardrail stands, for the verdict and for people."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log

from modelserve.domain.guardrails import Metric
from modelserve.domain.rollouts import GuardrailReading
from modelserve.judge import labelled, outcomes, safety
from modelserve.judge.evidence import Evidence, Family, Limit, Part, Sums, Tally, Track
from modelserve.judge.plan import Plan, Rule, demanded
from modelserve.judge.samples import View
from modelserve.judge.stage import Stage
from modelserve.judge.words import failure_share, figure, latency_quantile, unit


@dataclass(frozen=True, slots=True)
class Charge:
    """What one comparison holds against the candidate; natural logarithms."""

    name: str
    """A guardrail, a part of one, or ``disagreement``."""
    key: str
    """The guardrail's."""
    harm: float
    weight: float
    """In the mean of all e-values."""
    sums: Sums | None = None
    """What a guardrail that is told by outcomes has seen."""

    @property
    def size(self) -> float:
        """What it contributes to the mean."""
        return self.harm + self.weight


def charges(evidence: Evidence, made: Plan) -> list[Charge]:
    """One for each comparison that may roll back; a guardrail with no outcome yet still holds its weight."""
    found = [
        Charge(rule.key, rule.key, track.harm.wealth.log, log(rule.share))
        for track, rule in zip(evidence.tracks, made.rules, strict=True)
    ]
    for family, rule in zip(evidence.families, made.outcomes, strict=True):
        for place, part in enumerate(family.parts):
            weight = outcomes.log_weight(rule, place)
            name = outcomes.called(family, part)
            found.append(Charge(name, family.key, part.harm.wealth.log, weight, part.whole))
        if rule.paired:
            found.append(_of_pairs(family, rule))
    if made.disagreement_share:
        found.append(Charge("disagreement", "", evidence.pairs.wealth.log, log(made.disagreement_share)))
    return found


def _of_pairs(family: Family, rule: Rule) -> Charge:
    known = family.labelled
    name = labelled.called(family)
    return Charge(name, family.key, known.harm.log, log(rule.share / 2), labelled.sums(known))


def harm_in_all(found: list[Charge]) -> tuple[float, Charge | None]:
    """(log of the weighted mean of all harm e-values, the charge that contributes most).

    What has shown nothing yet, such as parts of a segment that are yet to appear, counts as 1.
    """
    most = max(found, key=lambda charge: charge.size, default=None)
    taken = sum([exp(charge.weight) for charge in found])
    top = max(most.size, 0.0) if most else 0.0
    total = sum([exp(charge.size - top) for charge in found])
    return top + log(total + max(1 - taken, 0.0) * exp(-top)), most


def tally(evidence: Evidence) -> Tally:
    """Counts of the present step; of the whole rollout while the step has seen no candidate request."""
    return evidence.step if evidence.step.candidate else evidence.whole


def readings(
    evidence: Evidence, made: Plan, stage: Stage, charged: list[Charge]
) -> tuple[GuardrailReading, ...]:
    """One for each guardrail, in the owner's order; of a segment, its worst part's."""
    past = View.of(evidence.stable)
    found = {
        rule.key: _counted(track, charge, rule, evidence, made, stage, past)
        for track, charge, rule in zip(evidence.tracks, charged, made.rules, strict=False)
    }
    for family, rule in zip(evidence.families, made.outcomes, strict=True):
        mine = [charge for charge in charged if charge.key == rule.key]
        found[rule.key] = _told(family, mine, rule, made, stage)
    for known in evidence.limits:
        found[known.key] = _limit(known)
    return tuple(found[key] for key in made.order)


def _counted(
    track: Track, charge: Charge, rule: Rule, evidence: Evidence, made: Plan, stage: Stage, past: View
) -> GuardrailReading:
    step, bound = made.step(stage.next_weight), made.safety_bound
    asked = stage.kind == "canary" and demanded(rule, stage.weight, stage.final)
    stable, candidate = _estimates(rule.metric, evidence)
    return GuardrailReading(
        metric=rule.key,
        stable=stable,
        candidate=candidate,
        harm=charge.harm,
        harm_bound=made.rollback_bound - charge.weight,
        safety=safety.evidence_for(track.safety, step),
        safety_bound=bound,
        demanded=asked,
        needed=safety.needed(track.safety, rule, step, bound, stage, past) if asked else None,
        unit=unit(rule.guardrail),
    )


def _told(family: Family, charged: list[Charge], rule: Rule, made: Plan, stage: Stage) -> GuardrailReading:
    if stage.kind == "shadow" and rule.paired:
        return _told_by_pairs(family, rule, made, stage)
    step, bound = made.step(stage.next_weight), made.safety_bound
    asked = stage.kind == "canary" and rule.required
    worst = max(
        charged, key=lambda charge: charge.size, default=Charge(rule.key, rule.key, 0.0, log(rule.share))
    )
    told = [part for part in family.parts if part.whole.candidate]
    shown = min((safety.evidence_for(part.safety, step) for part in told), default=0.0)
    needed = _needed(told, rule, step, bound, stage) if asked else None
    return _of_outcomes(worst, rule, made, shown, asked, needed)


def _told_by_pairs(family: Family, rule: Rule, made: Plan, stage: Stage) -> GuardrailReading:
    """In the shadow: asked for as soon as one pair is labelled."""
    known = family.labelled
    shown = labelled.safety(known, made.step(stage.next_weight))
    return _of_outcomes(_of_pairs(family, rule), rule, made, shown, rule.required and known.whole.n > 0, None)


def _of_outcomes(
    charge: Charge, rule: Rule, made: Plan, shown: float, asked: bool, needed: int | None
) -> GuardrailReading:
    return GuardrailReading(
        metric=charge.name,
        stable=_figure(rule, charge.sums, "stable"),
        candidate=_figure(rule, charge.sums, "candidate"),
        harm=charge.harm,
        harm_bound=made.rollback_bound - charge.weight,
        safety=shown,
        safety_bound=made.safety_bound,
        demanded=asked,
        needed=needed,
        unit=unit(rule.guardrail),
    )


def _needed(parts: list[Part], rule: Rule, step: int, bound: float, stage: Stage) -> int | None:
    wanted = [safety.needed(part.safety, rule, step, bound, stage, View.of(part.past)) for part in parts]
    known = [count for count in wanted if count is not None]
    return max(known) if known and len(known) == len(wanted) else None


def _figure(rule: Rule, sums: Sums | None, arm: str) -> float | None:
    if sums is None:
        return None
    bad, total = getattr(sums, f"{arm}_failures"), getattr(sums, arm)
    return figure(rule.guardrail, bad / total) if total else None


def _limit(known: Limit) -> GuardrailReading:
    """A plain limit has a value and no evidence."""
    return GuardrailReading(known.key, None, known.value, 0.0, inf, 0.0, inf, False, unit="number")


def _estimates(metric: Metric, evidence: Evidence) -> tuple[float | None, float | None]:
    if metric is not Metric.ERROR_RATE:
        return latency_quantile(metric, evidence.stable), latency_quantile(metric, evidence.candidate)
    counts = tally(evidence)
    stable = failure_share(counts.stable_failures, counts.stable)
    return stable, failure_share(counts.candidate_failures, counts.candidate)
