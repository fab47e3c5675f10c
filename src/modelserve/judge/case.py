"""One look: everything that the rules of :mod:`modelserve.judge.decide` may ask."""

from __future__ import annotations

from modelserve.domain.guardrails import Metric
from modelserve.domain.rollouts import Decision, Observation, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import labelled
from modelserve.judge.differing import differed
from modelserve.judge.evidence import Evidence
from modelserve.judge.outcomes import called
from modelserve.judge.plan import Plan
from modelserve.judge.readings import charges, readings, tally
from modelserve.judge.stage import Stage
from modelserve.judge.words import comparison, percent, times, told


class Case:
    """The arguments of the judge, and what follows from them."""

    def __init__(self, spec: RolloutSpec, made: Plan, evidence: Evidence, seen: Observation, stage: Stage):
        self.spec, self.made, self.evidence, self.seen, self.stage = spec, made, evidence, seen, stage
        self.charges = charges(evidence, made)
        self.readings = readings(evidence, made, stage, self.charges)

    @property
    def cold(self) -> float:
        """Seconds of the candidate's warm-up that are left."""
        return self.spec.judge.warm_up - (self.evidence.warm or 0.0)

    @property
    def wait(self) -> float:
        """Seconds of the canary step's least time that are left."""
        return self.spec.canary.least_time(self.stage.weight) - self.stage.elapsed_in_stage

    def verdict(self, decision: Decision, *reasons: str, metric: str = "") -> Verdict:
        return Verdict(decision, reasons, self.readings, self.evidence.whole.candidate, metric)

    def comparison(self, name: str) -> str:
        """Both arms by what is called ``name``: a guardrail, or a part of one."""
        e = self.evidence
        for family, rule in zip(e.families, self.made.outcomes, strict=True):
            if name == labelled.called(family):
                return told(rule.guardrail, name, labelled.sums(family.labelled))
            for part in family.parts:
                if name == called(family, part):
                    return told(rule.guardrail, name, part.whole)
        if any(name == rule.key for rule in self.made.rules):
            return comparison(Metric(name), tally(e), e.stable, e.candidate)
        return f"{name} not measured yet"

    def differed(self) -> str:
        return differed(self.evidence.pairs)

    def disagreement(self) -> str:
        limit = self.spec.shadow.max_disagreement if self.spec.shadow else 0.0
        log_e = self.evidence.pairs.wealth.log
        return (
            f"{self.differed()}, the limit is {percent(limit)}: the evidence that it is exceeded is "
            f"{times(log_e)} times what chance would give"
        )
