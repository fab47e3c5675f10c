from __future__ import annotations

from dataclasses import replace

import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, Observation, PairCounts
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Stage, judge, start

CANARY = Stage("canary", 0.1, 0.5, 60, 60)


@pytest.mark.parametrize(
    ("stable", "candidate", "unseen"),
    [
        (None, None, "stable and candidate"),
        (ArmCounts(90), None, "candidate"),
        (None, ArmCounts(10), "stable"),
    ],
)
def test_an_arm_that_was_not_seen_holds(policy, stable, candidate, unseen):
    spec = policy()
    seen = Observation(1.0, 0.1, stable, candidate)
    _, verdict = judge(spec, start(spec), seen, CANARY)
    assert verdict.decision is Decision.HOLD
    assert verdict.metric == ""
    assert verdict.reasons[0].startswith(f"{unseen} could not be seen in this interval")


def test_an_interval_without_the_candidate_changes_no_evidence(policy):
    spec = policy()
    before, _ = judge(spec, start(spec), Observation(1.0, 0.1, ArmCounts(900, 1), ArmCounts(100, 0)), CANARY)
    after, _ = judge(spec, before, Observation(1.0, 0.1, None, None), CANARY)
    assert after == replace(before, silence=after.silence)


def test_zero_requests_hold_and_data_ends_the_hold(policy):
    spec, evidence, verdicts = policy(), start(policy()), []
    for _ in range(8):
        evidence, verdict = judge(spec, evidence, Observation(1.0, 0.1, ArmCounts(0), ArmCounts(0)), CANARY)
        verdicts.append(verdict.decision)
    assert verdicts == [Decision.CONTINUE] * 4 + [Decision.HOLD] * 4
    assert "the candidate got no request for 8 s" in verdict.reasons[0]
    _, verdict = judge(spec, evidence, Observation(1.0, 0.1, ArmCounts(90), ArmCounts(10)), CANARY)
    assert verdict.decision is Decision.CONTINUE


def test_a_small_weight_at_a_low_rate_is_no_silence(policy):
    """One request per second at 1 %: a minute without a candidate request is the rule."""
    spec, evidence = policy(), start(policy())
    stage = Stage("canary", 0.01, 0.1, 60, 60)
    for _ in range(60):
        evidence, verdict = judge(spec, evidence, Observation(1.0, 0.01, ArmCounts(1), ArmCounts(0)), stage)
        assert verdict.decision is Decision.CONTINUE


def test_evidence_that_suffices_waits_for_the_next_request(policy):
    spec, evidence = policy(), start(policy())
    for _ in range(30):
        evidence, verdict = judge(
            spec, evidence, Observation(1.0, 0.1, ArmCounts(900), ArmCounts(100)), CANARY
        )
    assert verdict.decision is Decision.PROMOTE
    _, verdict = judge(spec, evidence, Observation(1.0, 0.1, ArmCounts(9), ArmCounts(0)), CANARY)
    assert verdict.decision is Decision.CONTINUE
    assert "the step ends on the next one" in verdict.reasons[0]


def test_a_shadow_without_pairs_holds():
    spec = RolloutSpec()
    evidence, stage = start(spec), Stage("shadow", 0, 0.01, 9, 9)
    _, verdict = judge(spec, evidence, Observation(1.0, stable=ArmCounts(9)), stage)
    assert verdict.decision is Decision.HOLD
    for _ in range(6):
        quiet = Observation(1.0, stable=ArmCounts(90), candidate=ArmCounts(18), pairs=PairCounts())
        evidence, verdict = judge(spec, evidence, quiet, stage)
    assert verdict.decision is Decision.HOLD
    assert "no shadow answer was compared for 6 s" in verdict.reasons[0]


def test_latency_that_is_never_measured_is_never_passed(policy):
    spec, evidence = policy("all"), start(policy("all"))
    for _ in range(60):
        evidence, verdict = judge(
            spec, evidence, Observation(1.0, 0.1, ArmCounts(900), ArmCounts(100)), CANARY
        )
    assert verdict.decision is Decision.CONTINUE
    assert verdict.reasons == (
        "median latency not measured yet: the evidence that it is within the margin is 1 of 20",
    )
