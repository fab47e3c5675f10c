from __future__ import annotations

from math import log

import numpy as np
import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, Observation, Outcome, Trials
from modelserve.judge import Stage, judge, start
from modelserve.judge.outcomes import MOST_PARTS, part_weight

STEP = Stage("canary", 0.5, 1.0, 60, 60)
TENANTS = [{"name": "tenant", "header": "x-tenant"}]
RAILS = [
    {"metric": "error_rate", "maxIncrease": "0.2%"},
    {"metric": "error_rate", "maxIncrease": "0.5%", "segment": "tenant"},
]


@pytest.fixture
def spec(policy):
    return policy(RAILS, judge={"segments": TENANTS})


def seen(**parts: tuple[int, int]) -> Observation:
    """By tenant: failures of 50 requests of the candidate, and of stable."""
    outcomes = {
        f"error_rate by tenant={name}": Outcome(Trials(50, stable), Trials(50, candidate))
        for name, (candidate, stable) in parts.items()
    }
    total = 50 * len(parts)
    candidate, stable = (sum(bad) for bad in zip(*parts.values(), strict=True))
    return Observation(1.0, 0.5, ArmCounts(total, stable), ArmCounts(total, candidate), outcomes=outcomes)


def test_the_verdict_names_the_part_that_is_hurt(spec):
    evidence = start(spec)
    crowd = {f"t{i}": (0, 0) for i in range(20)}
    for _ in range(20):
        look = seen(**crowd, acme=(3, 0))
        look = Observation(1.0, 0.5, ArmCounts(100_000), ArmCounts(100_000), outcomes=look.outcomes)
        evidence, verdict = judge(spec, evidence, look, STEP)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "error_rate by tenant=acme"
    assert verdict.reasons[0].startswith("error_rate by tenant=acme 6 % (of 1,000) against 0 % on stable")
    assert [r.metric for r in verdict.readings] == ["error_rate", "error_rate by tenant=acme"]


def test_no_step_waits_for_a_segment(spec):
    evidence = start(spec)
    for _ in range(60):
        evidence, verdict = judge(spec, evidence, seen(a=(0, 0), b=(0, 0)), STEP)
    assert verdict.decision is Decision.PROMOTE


def test_a_required_segment_is_waited_for_in_every_part(policy):
    spec = policy([RAILS[0], RAILS[1] | {"required": True}], judge={"segments": TENANTS})
    evidence = start(spec)
    for tick in range(60):
        parts = {"a": (0, 0)} | ({"b": (0, 0)} if tick == 0 else {})
        evidence, verdict = judge(spec, evidence, seen(**parts), STEP)
    assert verdict.decision is Decision.CONTINUE
    assert verdict.reasons[0].startswith("error_rate by tenant=")
    for _ in range(60):
        evidence, verdict = judge(spec, evidence, seen(a=(0, 0), b=(0, 0)), STEP)
    assert verdict.decision is Decision.PROMOTE


def test_the_parts_weights_are_one_budget():
    weights = [part_weight(place) for place in range(MOST_PARTS + 1)]
    assert sum(weights) == pytest.approx(1)
    assert weights == sorted(weights[:-1], reverse=True) + weights[-1:]


def test_many_parts_share_one_place(spec):
    evidence, rng = start(spec), np.random.default_rng(2)
    for _ in range(5):
        names = [f"t{i}" for i in rng.integers(0, 400, 60)]
        evidence, verdict = judge(spec, evidence, seen(**dict.fromkeys(names, (0, 1))), STEP)
    (family,) = evidence.families
    assert len(family.parts) == MOST_PARTS + 1
    assert family.parts[-1].name == "other"
    assert sum(part.whole.stable for part in family.parts) > 100 * 50
    assert verdict.decision is not Decision.ROLL_BACK


def test_one_alpha_covers_all_parts(spec):
    """A part's bound is the rollout's, shared by guardrail and place."""
    _, verdict = judge(spec, start(spec), seen(a=(0, 0), b=(50, 0)), STEP)
    assert verdict.readings[1].harm_bound == pytest.approx(log(100) - log(0.5 * part_weight(1)))


def test_healthy_parts_are_rarely_blamed(spec):
    rng, wrong = np.random.default_rng(11), 0
    for _ in range(30):
        evidence = start(spec)
        for _ in range(30):
            parts = {f"t{i}": tuple(rng.binomial(50, 0.01, 2)) for i in range(6)}
            evidence, verdict = judge(spec, evidence, seen(**parts), STEP)
            if verdict.decision is Decision.ROLL_BACK:
                wrong += 1
                break
    assert wrong <= 1
