"""Labelled pairs decide: labels that tell which of two answers to one request was right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, LabelledPairs, Observation, PairCounts
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, Stage, judge, start

SHADOW = Stage("shadow", 0.0, 0.01, 9, 9)
CANARY = Stage("canary", 0.01, 0.05, 40, 60)
ERRORS = {"metric": "error_rate", "maxIncrease": "1%"}
ALIKE = LabelledPairs(both_right=90, both_wrong=10)
WORSE = LabelledPairs(both_right=60, stable_right=30, candidate_right=2, both_wrong=8)


def _spec(*guardrails: dict[str, Any], **shadow: Any) -> RolloutSpec:
    told = guardrails or ({"metric": "accuracy", "maxDecrease": "2%"},)
    judging = {"guardrails": [ERRORS, *told]}
    return RolloutSpec.model_validate(
        {"shadow": {"minPairs": 10, "maxDisagreement": "100%"} | shadow, "judge": judging}
    )


def _seen(labelled: dict[str, LabelledPairs] | None = None, **more: Any) -> Observation:
    counts = PairCounts(100, 32)
    return Observation(
        1.0, more.pop("weight", 0.0), ArmCounts(500), ArmCounts(100), counts, labelled=labelled or {}, **more
    )


def test_against_a_candidate_that_is_wrong_where_stable_is_right():
    spec = _spec(minPairs=1_000)
    _, verdict = judge(spec, start(spec), _seen({"accuracy": WORSE}), SHADOW)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "accuracy of shadow pairs"
    assert verdict.reasons[0].startswith(
        "accuracy of shadow pairs 62 % (of 100) against 90 % on stable (of 100): the evidence that the "
        "candidate is worse than its margin allows is "
    )
    reading = next(r for r in verdict.readings if r.metric == verdict.metric)
    assert (reading.stable, reading.candidate) == pytest.approx((0.9, 0.62))
    assert reading.harm >= reading.harm_bound


def test_for_nobody_where_both_are_wrong_alike():
    spec = _spec()
    _, verdict = judge(spec, start(spec), _seen({"accuracy": ALIKE}), SHADOW)
    assert verdict.decision is Decision.PROMOTE


@pytest.mark.parametrize(
    ("guardrail", "key"),
    [
        ({"metric": "recall", "label": "PER", "maxDecrease": "5%"}, "recall(PER)"),
        ({"metric": "accuracy", "maxDecrease": "5%"}, "accuracy"),
    ],
)
def test_also_when_they_come_late_and_the_shadow_is_over(guardrail, key):
    spec = _spec(guardrail)
    evidence, verdict = judge(spec, start(spec), _seen(), SHADOW)
    assert verdict.decision is Decision.PROMOTE
    evidence, verdict = judge(spec, evidence, _seen(weight=0.01), CANARY)
    _, verdict = judge(spec, evidence, _seen({key: WORSE}, weight=0.01), CANARY)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == f"{key} of shadow pairs"


def test_that_a_required_guardrail_is_shown_safe_before_the_shadow_ends():
    spec = _spec({"metric": "accuracy", "maxDecrease": "0.1%", "required": True})
    evidence, verdict = judge(spec, start(spec), _seen({"accuracy": LabelledPairs(both_right=1)}), SHADOW)
    assert verdict.decision is Decision.CONTINUE
    assert verdict.reasons[0].startswith(
        "accuracy of shadow pairs 100 % (of 1) against 100 % on stable (of 1)"
    )
    for _ in range(20):
        evidence, verdict = judge(spec, evidence, _seen({"accuracy": ALIKE}), SHADOW)
    assert verdict.decision is Decision.PROMOTE
    assert "accuracy of shadow pairs" in verdict.reasons[1]


def test_nothing_where_no_pair_is_labelled():
    """The canary asks then."""
    spec = _spec({"metric": "accuracy", "maxDecrease": "2%", "required": True})
    _, verdict = judge(spec, start(spec), _seen(), SHADOW)
    assert verdict.decision is Decision.PROMOTE


def test_nothing_about_a_score_or_a_segment():
    parts = {"segments": [{"name": "tenant", "header": "x-tenant"}]}
    spec = _spec({"metric": "score", "maxDecrease": "2%"})
    split = {"metric": "accuracy", "maxDecrease": "2%", "segment": "tenant"}
    told = spec.judge.model_dump(by_alias=True, exclude_none=True)["guardrails"]
    spec = RolloutSpec.model_validate(
        {
            "shadow": {"minPairs": 10, "maxDisagreement": "100%"},
            "judge": {"guardrails": [*told, split]} | parts,
        }
    )
    seen = _seen({"score": WORSE, "accuracy by tenant": WORSE})
    evidence, verdict = judge(spec, start(spec), seen, SHADOW)
    assert verdict.decision is Decision.PROMOTE
    assert not any(family.labelled.whole.n for family in evidence.families)


def test_a_healthy_candidate_is_rolled_back_as_rarely_as_promised():
    """At its margin, looked at after every ten pairs."""
    spec, rng, wrong = _spec(minPairs=1_000_000), np.random.default_rng(11), 0
    for _ in range(150):
        evidence = start(spec)
        for stable, candidate, alike in rng.multinomial(10, (0.05, 0.03, 0.92), size=60).tolist():
            seen = LabelledPairs(alike, stable, candidate)
            evidence, verdict = judge(spec, evidence, _seen({"accuracy": seen}), SHADOW)
            if verdict.decision is Decision.ROLL_BACK:
                wrong += 1
                break
    assert wrong <= 4  # 1 % of 150 is 1.5; five or more would come in 2 of 100 repetitions


def test_evidence_survives_a_restart_to_the_last_bit():
    spec = _spec()
    evidence, _ = judge(spec, start(spec), _seen({"accuracy": WORSE}), SHADOW)
    again = Evidence.load(evidence.dump())
    assert again == evidence
    assert repr(again.families[0].labelled.whole.n) == repr(evidence.families[0].labelled.whole.n)


def test_more_of_it_where_the_canary_begins_with_more():
    """At 10 requests per second it begins with 20 %; evidence for less does not suffice there."""
    spec = _spec({"metric": "accuracy", "maxDecrease": "2%", "required": True})
    few = LabelledPairs(both_right=27, stable_right=3, candidate_right=1, both_wrong=1)
    ends = [
        judge(spec, start(spec), _seen({"accuracy": few}), Stage("shadow", 0.0, weight, 9, 9))[1]
        for weight in (0.01, 0.2)
    ]
    assert [end.decision for end in ends] == [Decision.PROMOTE, Decision.CONTINUE]


def test_as_much_for_every_weight_while_the_shadow_can_not_know_where_the_canary_begins():
    spec = _spec()
    seen, known = _seen({"accuracy": ALIKE}), []
    for weight in (0.01, 0.2):
        evidence = start(spec)
        for _ in range(5):
            evidence, _ = judge(spec, evidence, seen, Stage("shadow", 0.0, weight, 9, 9))
        known.append(evidence)
    assert known[0] == known[1]
