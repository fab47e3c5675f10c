from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, Observation, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, Stage, judge, start

PROBATION = Stage("probation", 1.0, 1.0, 5, 100)


def _promoted(spec: RolloutSpec, arm, failures: int = 2) -> Evidence:
    rng, evidence = np.random.default_rng(3), start(spec)
    for tick in range(60):
        fast = 0.002 * np.exp(0.3 * rng.standard_normal(200))
        bad = failures if tick % 20 == 0 else 0
        seen = Observation(1.0, 0.5, arm(100, bad, fast[:100]), arm(100, bad, fast[100:]))
        evidence, _ = judge(spec, evidence, seen, Stage("canary", 0.5, 1.0, tick, tick))
    return evidence


def _alone(spec: RolloutSpec, evidence: Evidence, ticks: Iterator[ArmCounts]) -> Iterator[Verdict]:
    for counts in ticks:
        evidence, verdict = judge(spec, evidence, Observation(1.0, 1.0, None, counts), PROBATION)
        yield verdict


def _steady(arm, chance: float, factor: float, ticks: int) -> Iterator[ArmCounts]:
    rng = np.random.default_rng(4)
    for _ in range(ticks):
        latency = factor * 0.002 * np.exp(0.3 * rng.standard_normal(200))
        yield arm(200, int(rng.binomial(200, chance)), latency)


def test_a_candidate_that_stays_healthy_continues_to_the_end(policy, arm):
    spec = policy("all")
    verdicts = list(_alone(spec, _promoted(spec, arm), _steady(arm, 0.001, 1.0, 300)))
    assert {verdict.decision for verdict in verdicts} == {Decision.CONTINUE}


def test_the_load_of_all_traffic_is_not_taken_for_a_regression(policy, arm):
    spec = policy("all")
    verdicts = list(_alone(spec, _promoted(spec, arm), _steady(arm, 0.001, 1.5, 100)))
    assert verdicts[-1].decision is Decision.CONTINUE


@pytest.mark.parametrize(
    ("chance", "factor", "metric"), [(0.1, 1.0, "error_rate"), (0.001, 6.0, "latency_p50")]
)
def test_a_regression_rolls_back_within_seconds(policy, arm, chance, factor, metric):
    spec = policy("all")
    verdicts = list(_alone(spec, _promoted(spec, arm), _steady(arm, chance, factor, 10)))
    first = next(v for v in verdicts if v.decision is Decision.ROLL_BACK)
    assert first.metric.startswith(metric[:7])


def test_a_late_regression_is_found_after_a_long_quiet_time(policy, arm):
    spec = policy()
    healthy = list(_steady(arm, 0.001, 1.0, 900))
    ticks = iter([*healthy, *_steady(arm, 0.2, 1.0, 5)])
    verdicts = list(_alone(spec, _promoted(spec, arm), ticks))
    assert all(v.decision is Decision.CONTINUE for v in verdicts[:900])
    assert verdicts[-1].decision is Decision.ROLL_BACK


def test_without_a_record_of_stable_nothing_is_claimed(policy):
    spec = policy()
    verdicts = _alone(spec, start(spec), iter([ArmCounts(100, 90)] * 5))
    assert {verdict.decision for verdict in verdicts} == {Decision.CONTINUE}


def test_the_deadline_and_silence_mean_nothing_in_probation(policy):
    spec = policy(judge={"deadline": "1s"})
    evidence = start(spec)
    for _ in range(30):
        evidence, verdict = judge(spec, evidence, Observation(1.0, 1.0, None, None), PROBATION)
    assert verdict.decision is Decision.CONTINUE
