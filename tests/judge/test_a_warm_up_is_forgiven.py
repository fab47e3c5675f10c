from __future__ import annotations

import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, Observation
from modelserve.judge import Stage, judge, start

STEP = Stage("canary", 0.5, 1.0, 60, 60)
FAST = [0.002] * 100


def seen(arm, seconds=FAST, failures=0):
    return Observation(1.0, 0.5, arm(100, 0, FAST), arm(100, failures, seconds))


def looked(spec, *looks):
    evidence = start(spec)
    for look in looks:
        evidence, verdict = judge(spec, evidence, look, STEP)
    return evidence, verdict


@pytest.mark.parametrize(
    ("warm_up", "slow", "metric"), [("8s", 8, ""), ("8s", 30, "latency"), ("0s", 8, "latency")]
)
def test_only_slowness_after_it_counts(policy, arm, warm_up, slow, metric):
    spec = policy("all", judge={"warmUp": warm_up})
    before = [Observation(1.0, 0.5, arm(100, 0, FAST), ArmCounts())] * 5
    cold = [seen(arm, [0.05] * 100)] * slow
    _, verdict = looked(spec, *before, *cold)
    assert verdict.metric.startswith(metric)
    assert (verdict.decision is Decision.ROLL_BACK) is bool(metric)


def test_failures_count_meanwhile(policy, arm):
    _, verdict = looked(policy("all"), *[seen(arm, failures=60)] * 3)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "error_rate"


def test_the_step_waits_for_it_and_says_so(policy, arm):
    _, verdict = looked(policy("all"), *[seen(arm)] * 4)
    assert verdict.decision is Decision.CONTINUE
    assert "latency counts after a warm-up, of which 6 s are left" in verdict.reasons


def test_it_begins_with_the_first_live_request_and_happens_once(policy, arm):
    spec = policy("all")
    evidence, _ = looked(spec, *[Observation(1.0, 0.5, arm(100, 0, FAST), ArmCounts())] * 30)
    assert evidence.warm is None
    evidence, _ = looked(spec, *[seen(arm)] * 30)
    assert evidence.warm == 30
    assert sum(evidence.candidate.latency) == 20 * 100


def test_guardrails_without_latency_do_not_wait(policy, arm):
    _, verdict = looked(policy("errors"), *[seen(arm)] * 40)
    assert verdict.decision is Decision.PROMOTE
    assert not any("warm-up" in reason for reason in looked(policy("errors"), seen(arm))[1].reasons)
