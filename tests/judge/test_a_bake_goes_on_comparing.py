from __future__ import annotations

from modelserve.domain.rollouts import Decision
from modelserve.judge.plan import plan


def test_its_least_time_is_served_and_its_evidence_is_asked_for(policy, world, drive):
    spec = policy(steps=("50%", "100%"), bake={"holdback": "10%", "time": "60s"})
    end = drive(spec, world(rate=400), limit=300)
    assert end.decision is Decision.PROMOTE
    assert end.seconds >= 60 + 4


def test_its_margin_is_the_one_for_everything(policy):
    spec = policy(steps=("50%", "100%"), bake={})
    assert plan(spec).weights == (0.9, 1.0)
    rule = plan(spec).rules[0]
    assert rule.margin_for(0.9) * 0.9 == rule.margin_for(1.0)


def test_a_fault_that_needs_time_is_found_in_it(policy, world, drive):
    spec = policy(steps=("50%", "100%"), bake={"holdback": "10%", "time": "10m"})
    for seed in range(5):
        end = drive(spec, world(rate=100, candidate=0.05, fault_at=300), seed, limit=600)
        assert end.decision is Decision.ROLL_BACK
        assert 300 < end.seconds <= 390
