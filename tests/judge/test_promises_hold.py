"""Simulated rollouts with fixed seeds: how often the judge is wrong, and how fast it is right."""

from __future__ import annotations

from statistics import median

import pytest

from modelserve.domain.rollouts import Decision, Observation
from modelserve.judge import Stage, judge, start

LADDER = ("1%", "5%", "25%", "50%", "100%")


@pytest.mark.parametrize("rate", [0.001, 0.01])
def test_a_healthy_candidate_is_rarely_rolled_back(policy, world, drive, rate):
    spec = policy(steps=LADDER, min_step="5s")
    ends = [drive(spec, world(stable=rate, candidate=rate), seed, limit=90) for seed in range(100)]
    assert sum(end.decision is Decision.ROLL_BACK for end in ends) <= 3  # 1 % promised; P(> 3 of 100) < 2 %


def test_a_shared_outage_is_not_blamed_on_the_candidate(policy, world, drive):
    outage = world(shared=lambda now: 0.4 if 5 <= now < 20 else 0.001)
    ends = [drive(policy(), outage, seed, limit=60) for seed in range(60)]
    assert sum(end.decision is Decision.ROLL_BACK for end in ends) <= 2


def test_a_healthy_candidate_of_equal_speed_is_promoted_within_two_minutes(policy, world, drive):
    spec, equal = policy("all"), world(stable=0.0, candidate=0.0, latency=True)
    ends = [drive(spec, equal, seed, limit=120, tick=0.5) for seed in range(15)]
    assert all(end.decision is Decision.PROMOTE for end in ends)
    assert median(end.seconds for end in ends) <= 60


def test_a_promotion_takes_few_requests(policy, world, drive):
    spec = policy(steps=("1%", "5%", "10%", "25%", "50%", "100%"), min_step="30s")
    ends = [drive(spec, world(rate=100), seed, limit=900) for seed in range(25)]
    assert sum(end.decision is Decision.PROMOTE for end in ends) >= 24
    assert median(end.requests for end in ends) <= 4_500


@pytest.mark.parametrize("tick", [0.5, 1.0])
def test_a_fault_of_five_percent_is_found_within_a_minute(policy, world, drive, tick):
    ends = [drive(policy(), world(rate=100, candidate=0.05), seed, tick=tick) for seed in range(60)]
    assert all(end.decision is Decision.ROLL_BACK for end in ends)
    assert max(end.seconds for end in ends) <= 60
    assert median(end.failures for end in ends) <= 6


def test_a_fifth_of_errors_is_found_within_seconds(policy, world, drive):
    bad = world(stable=0.0, candidate=0.2, latency=True)
    ends = [drive(policy("all"), bad, seed, tick=0.5) for seed in range(40)]
    assert all(end.verdict.metric == "error_rate" for end in ends)
    assert max(end.seconds for end in ends) <= 5


def test_a_slow_tail_is_found_while_the_candidate_is_small(policy, world, drive):
    slow = world(stable=0.0, candidate=0.0, latency=True, slow=0.06)
    ends = [drive(policy("all"), slow, seed, tick=0.5) for seed in range(20)]
    assert all(end.decision is Decision.ROLL_BACK for end in ends)
    assert all(end.verdict.metric == "latency_p99" for end in ends)
    assert median(end.seconds for end in ends) <= 30  # the warm-up takes the first 10


def test_a_candidate_that_is_half_slower_is_rolled_back(policy, world, drive):
    ends = [drive(policy("all"), world(latency=True, factor=1.5), seed, tick=0.5) for seed in range(20)]
    assert all(end.decision is Decision.ROLL_BACK for end in ends)


@pytest.mark.parametrize("looks", [2, 6])
def test_a_stall_of_one_server_is_one_event(policy, arm, looks):
    """Everything waits for a moment, as an operating system or a collector of garbage may cause."""
    spec = policy("all", judge={"warmUp": "0s"})
    evidence, quick = start(spec), [0.002] * 200
    stage = Stage("canary", 0.5, 1.0, 60, 60)
    for tick in range(60):
        slow = 40 <= tick < 40 + looks
        seen = Observation(0.5, 0.5, arm(200, 0, quick), arm(200, 0, [0.3] * 200 if slow else quick))
        evidence, verdict = judge(spec, evidence, seen, stage)
        if verdict.decision is Decision.ROLL_BACK:
            break
    assert (verdict.decision is Decision.ROLL_BACK) is (looks == 6)


def test_a_slowdown_within_the_margin_is_no_harm(policy, world, drive):
    spec, slower = policy("all"), world(latency=True, factor=1.05)
    ends = [drive(spec, slower, seed, limit=45, tick=0.5) for seed in range(16)]
    assert all(end.decision is not Decision.ROLL_BACK for end in ends)


def test_a_candidate_beyond_the_margin_is_rarely_promoted(policy, world, drive):
    """At 1.25 times 1 % plus 0.2 points exactly; harm is left out by a budget that it can't reach."""
    spec = policy(steps=("50%", "100%"), judge={"falseRollback": "0.0001%"})
    at_margin = world(rate=400, stable=0.01, candidate=0.0145)
    ends = [drive(spec, at_margin, seed, limit=60) for seed in range(100)]
    assert sum(end.decision is Decision.PROMOTE for end in ends) <= 100 * 0.05


def test_a_good_start_hides_no_later_fault(policy, world, drive):
    spec = policy(min_step="1h")
    late = world(candidate=0.05, fault_at=300)
    ends = [drive(spec, late, seed) for seed in range(12)]
    assert all(end.decision is Decision.ROLL_BACK for end in ends)
    assert max(end.seconds for end in ends) <= 330
