"""Why the estimates alone do not allow a promotion, and which plain limits forbid one."""

from __future__ import annotations

from modelserve.judge import labelled
from modelserve.judge.case import Case
from modelserve.judge.outcomes import called
from modelserve.judge.plan import Rule
from modelserve.judge.words import TITLES


def doubt(case: Case) -> str:
    """Why the estimates do not allow a promotion; empty if they do."""
    if case.stage.kind == "shadow" and case.spec.shadow is not None:
        pairs, limit = case.evidence.pairs, case.spec.shadow.max_disagreement
        if not pairs.pairs:
            return "no pair of answers was compared"
        return case.disagreement() if pairs.exceeds(limit) else _labelled_doubt(case)
    counted = (why for rule in case.made.rules if (why := _counted_doubt(case, rule)))
    return next(counted, None) or _told_doubt(case)


def _counted_doubt(case: Case, rule: Rule) -> str:
    reading = next(reading for reading in case.readings if reading.metric == rule.key)
    if reading.candidate is None or reading.stable is None:
        return f"{TITLES[rule.metric]} was not measured"
    increase = rule.guardrail.margin
    slower = max((1 + increase) * reading.stable, reading.stable + rule.allowance.seconds)
    most = slower if rule.metric.of_latency else rule.ratio * reading.stable + increase
    return case.comparison(rule.key) if reading.candidate > most else ""


def _labelled_doubt(case: Case) -> str:
    for family, rule in zip(case.evidence.families, case.made.outcomes, strict=True):
        whole = family.labelled.whole
        if whole.stable_right - whole.candidate_right > rule.margin * whole.n:
            return case.comparison(labelled.called(family))
    return ""


def _told_doubt(case: Case) -> str:
    """Of outcomes only what is required must have been told; what was told must be within the margin."""
    for family, rule in zip(case.evidence.families, case.made.outcomes, strict=True):
        known = [part for part in family.parts if part.whole.candidate and part.whole.stable]
        if rule.required and not known:
            return f"{family.key} was not measured"
        for part in known:
            sums = part.whole
            stable, candidate = sums.stable_failures / sums.stable, sums.candidate_failures / sums.candidate
            if candidate > rule.ratio * stable + rule.margin:
                return case.comparison(called(family, part))
    return beyond_limit(case)


def beyond_limit(case: Case) -> str:
    """A plain limit whose last value says that the candidate can't go on; empty if there is none."""
    for known, guardrail in zip(case.evidence.limits, case.made.limits, strict=True):
        if known.value is not None and known.looks:
            return f"{known.key} is {known.value:,.4g}, above its limit of {guardrail.limit:,.4g}"
        if known.value is None and guardrail.is_required:
            return f"{known.key} was not measured"
    return ""
