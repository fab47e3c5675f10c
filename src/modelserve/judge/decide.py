"""The verdict: the first of these that applies, with its reasons.

1. A hard failure rolls back.
2. Evidence of harm rolls back, at any stage; so does a plain limit that stays exceeded.
3. Past the deadline the owner's policy applies (not in probation, which ends by time), unless it is to
   promote.
4. Traffic that is not split as told holds: what was counted can't be trusted.
5. No data holds; it is neither success nor failure. That goes for required custom guardrails too.
6. Past the deadline a policy to promote applies where the estimates allow it: a canary step must have had a
   request and its least time.
7. In the shadow: too many disagreements hold or roll back, enough agreement promotes, once the labels that
   there are have shown the required guardrails safe.
   In the canary: every demanded guardrail shown safe, and the least time served, promotes.
8. Otherwise the rollout continues, and the reasons say what is missing.

``Verdict.metric`` names what decided: a guardrail, ``disagreement``, ``split``, ``deadline`` or
``hard_failure``. It is empty for a hold that ends by itself, as soon as there is data.
"""

from __future__ import annotations

from modelserve.domain.rollouts import Decision, GuardrailReading, Verdict
from modelserve.domain.services import OnDeadline, OnDisagreement, Shadow
from modelserve.judge.case import Case
from modelserve.judge.checks import SPLIT_BOUND
from modelserve.judge.doubts import beyond_limit, doubt
from modelserve.judge.limits import exceeded
from modelserve.judge.missing import no_data
from modelserve.judge.readings import harm_in_all
from modelserve.judge.words import count, percent, times


def decide(case: Case) -> Verdict:
    """Always a verdict; never raises."""
    rules = (_hard_failure, _harm, _limit, _deadline, _split, no_data, _late, _SUCCESS[case.stage.kind])
    return next(verdict for rule in rules if (verdict := rule(case)) is not None)


def _hard_failure(case: Case) -> Verdict | None:
    reason = case.seen.hard_failure
    return case.verdict(Decision.ROLL_BACK, reason, metric="hard_failure") if reason else None


def _harm(case: Case) -> Verdict | None:
    total, most = harm_in_all(case.charges)
    if total < case.made.rollback_bound or most is None:
        return None
    if most.name == "disagreement":
        return case.verdict(Decision.ROLL_BACK, case.disagreement(), metric=most.name)
    reason = (
        f"{case.comparison(most.name)}: the evidence that the candidate is {_worse(case, most.key)} is "
        f"{times(most.harm)} times what chance would give; the limit is "
        f"{times(case.made.rollback_bound - most.weight)}"
    )
    return case.verdict(Decision.ROLL_BACK, reason, metric=most.name)


def _worse(case: Case, key: str) -> str:
    rule = case.made.rule(key)
    if rule.metric.of_latency:
        return "slower than its margin allows"
    return "worse" if rule.harm_margin is None else "worse than its margin allows"


def _limit(case: Case) -> Verdict | None:
    for known, guardrail in zip(case.evidence.limits, case.made.limits, strict=True):
        if exceeded(known):
            reason = (
                f"{known.key} is {known.value:,.4g}, above its limit of {guardrail.limit:,.4g}, in "
                f"{known.looks} readings in a row"
            )
            return case.verdict(Decision.ROLL_BACK, reason, metric=known.key)
    return None


def _deadline(case: Case) -> Verdict | None:
    policy = case.spec.judge.on_deadline
    if policy is OnDeadline.PROMOTE or not (late := _overdue(case)):
        return None
    decision, doing = {
        OnDeadline.HOLD: (Decision.HOLD, "holding"),
        OnDeadline.ROLL_BACK: (Decision.ROLL_BACK, "rolling back"),
    }[policy]
    return case.verdict(decision, f"{late}; {doing}, as onDeadline asks", metric="deadline")


def _late(case: Case) -> Verdict | None:
    if case.spec.judge.on_deadline is not OnDeadline.PROMOTE or not (late := _overdue(case)):
        return None
    if case.stage.kind == "canary" and not case.evidence.step.candidate:
        return None
    if why := doubt(case):
        return case.verdict(Decision.HOLD, f"{late}; not promoting: {why}", metric="deadline")
    if case.stage.kind == "canary" and case.wait > 0:
        return None
    doing = "promoting, since no estimate is beyond its margin"
    return case.verdict(Decision.PROMOTE, f"{late}; {doing}, as onDeadline asks", metric="deadline")


def _overdue(case: Case) -> str:
    """That the deadline has passed, in words; empty if it has not."""
    deadline = case.spec.judge.deadline
    if case.stage.kind == "probation" or case.stage.elapsed < deadline:
        return ""
    return f"no decision within the deadline of {deadline:,.0f} s"


def _split(case: Case) -> Verdict | None:
    if case.stage.kind != "canary" or case.evidence.split.log < SPLIT_BOUND:
        return None
    step = case.evidence.step
    share = step.candidate / max(step.candidate + step.stable, 1)
    told = percent(case.seen.candidate_weight)
    reason = (
        f"the candidate got {percent(share)} of the requests of this step ({step.candidate:,} of "
        f"{step.candidate + step.stable:,}), but was given a weight of {told}: "
        "traffic is not split as told, so the comparison can't be trusted"
    )
    return case.verdict(Decision.HOLD, reason, metric="split")


def _shadow(case: Case) -> Verdict:
    shadow = case.spec.shadow
    if shadow is None:
        return case.verdict(Decision.PROMOTE, "no shadow stage is asked for")
    pairs = case.evidence.pairs
    if pairs.wealth.log >= case.made.rollback_bound and shadow.on_disagreement is OnDisagreement.HOLD:
        return case.verdict(Decision.HOLD, case.disagreement(), metric="disagreement")
    if pairs.compared < shadow.min_pairs:
        return case.verdict(Decision.CONTINUE, _so_far(case, shadow))
    if pairs.exceeds(shadow.max_disagreement):
        return case.verdict(Decision.HOLD, case.disagreement(), metric="disagreement")
    agreed = f"{case.differed()}, within the limit of {percent(shadow.max_disagreement)}"
    asked = [reading for reading in case.readings if reading.demanded]
    if missing := [_missing(case, r) for r in asked if r.safety < r.safety_bound]:
        return case.verdict(Decision.CONTINUE, *missing)
    to = percent(case.stage.next_weight)
    return case.verdict(Decision.PROMOTE, agreed, *(_shown(case, reading, to) for reading in asked))


def _so_far(case: Case, shadow: Shadow) -> str:
    left = shadow.min_pairs - case.evidence.pairs.compared
    return f"{case.differed()}; {count(left, 'more pair')} to compare"


def _canary(case: Case) -> Verdict:
    asked = [reading for reading in case.readings if reading.demanded]
    missing = [_missing(case, r) for r in asked if r.safety < r.safety_bound]
    if (cold := case.cold) > 0 and any(reading.unit == "seconds" for reading in asked):
        missing.append(f"latency counts after a warm-up, of which {cold:.0f} s are left")
    if case.wait > 0:
        missing.append(f"{case.wait:.0f} s of the least time at this step are left")
    if beyond := beyond_limit(case):
        missing.append(beyond)
    if not missing and case.seen.candidate is not None and case.seen.candidate.requests == 0:
        missing.append("no candidate request in this interval; the step ends on the next one")
    if missing:
        return case.verdict(Decision.CONTINUE, *missing)
    to = percent(case.stage.next_weight)
    return case.verdict(Decision.PROMOTE, *(_shown(case, reading, to) for reading in asked))


def _shown(case: Case, reading: GuardrailReading, to: str) -> str:
    return (
        f"{case.comparison(reading.metric)}: the evidence that it is within the margin for {to} of the "
        f"traffic is {times(reading.safety)}; {times(reading.safety_bound)} was needed"
    )


def _missing(case: Case, reading: GuardrailReading) -> str:
    left = (
        "" if reading.needed is None else f", about {count(reading.needed, 'more candidate request')} to go"
    )
    return (
        f"{case.comparison(reading.metric)}: the evidence that it is within the margin is "
        f"{times(reading.safety)} of {times(reading.safety_bound)}{left}"
    )


def _probation(case: Case) -> Verdict:
    counts = case.evidence.step
    what = f"{counts.candidate_failures:,} of {count(counts.candidate, 'request')} failed"
    return case.verdict(Decision.CONTINUE, f"{what} since the promotion: nothing speaks against it")


_SUCCESS = {"shadow": _shadow, "canary": _canary, "probation": _probation}
