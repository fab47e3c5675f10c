from __future__ import annotations

from bisect import bisect_right
from math import log

import pytest

from modelserve.domain.guardrails import Metric
from modelserve.domain.latency import BOUNDS
from modelserve.domain.rollouts import ArmCounts, Decision, Observation, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, Stage, judge, start
from modelserve.judge.plan import plan


def _repeat(
    spec: RolloutSpec, times: int, seen: Observation, stage: Stage, evidence: Evidence | None = None
) -> tuple[Evidence, Verdict]:
    evidence = evidence or start(spec)
    for _ in range(times):
        evidence, verdict = judge(spec, evidence, seen, stage)
    return evidence, verdict


HEALTHY = Observation(1.0, 0.1, ArmCounts(900, 1), ArmCounts(100, 0))
STEP = Stage("canary", 0.1, 0.5, 30, 30)


def test_a_rollback_names_its_numbers(policy):
    _, verdict = _repeat(policy(), 10, Observation(1.0, 0.1, ArmCounts(500, 1), ArmCounts(50, 6)), STEP)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "error_rate"
    (reason,) = verdict.reasons
    assert reason.startswith("error rate 12 % (60 of 500) against 0.2 % on stable: the evidence that")
    assert reason.endswith("worse is more than a billion times what chance would give; the limit is 100")


def test_a_promotion_names_its_evidence(policy):
    _, verdict = _repeat(policy(), 20, HEALTHY, STEP)
    assert verdict.decision is Decision.PROMOTE
    assert verdict.reasons[0].startswith(
        "error rate 0 % (0 of 2,000) against 0.11 % on stable: the evidence that it is within the margin for "
        "50 % of the traffic is "
    )
    assert verdict.requests == 2_000


def test_a_wait_says_what_is_missing_and_how_much(policy):
    _, verdict = _repeat(policy(), 3, HEALTHY, STEP)
    assert verdict.decision is Decision.CONTINUE
    (reading,) = verdict.readings
    assert reading.demanded
    assert 200 < reading.needed < 3_000
    assert verdict.reasons[0].endswith(f"of 20, about {reading.needed:,} more candidate requests to go")


def test_the_estimate_of_what_is_needed_comes_true(policy):
    evidence, verdict = _repeat(policy(), 3, HEALTHY, STEP)
    ticks, estimate = 0, verdict.readings[0].needed
    while verdict.decision is not Decision.PROMOTE:
        evidence, verdict = judge(policy(), evidence, HEALTHY, STEP)
        ticks += 1
    assert ticks * 100 == pytest.approx(estimate, rel=0.35)


def test_the_least_time_at_a_step_is_served(policy):
    early = Stage("canary", 0.1, 0.5, 1.5, 1.5)
    evidence, verdict = _repeat(policy(), 40, HEALTHY, early)
    assert verdict.decision is Decision.CONTINUE
    assert verdict.reasons == ("2 s of the least time at this step are left",)
    assert _repeat(policy(), 1, HEALTHY, STEP, evidence)[1].decision is Decision.PROMOTE


def test_a_hard_failure_comes_first(policy):
    seen = Observation(1.0, 0.1, None, None, hard_failure="the candidate crashes again and again")
    _, verdict = _repeat(policy(), 1, seen, STEP)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.reasons == ("the candidate crashes again and again",)


@pytest.mark.parametrize(
    ("on_deadline", "decision"),
    [("hold", Decision.HOLD), ("rollBack", Decision.ROLL_BACK), ("promote", Decision.PROMOTE)],
)
def test_at_the_deadline_the_owners_policy_applies(policy, on_deadline, decision):
    spec = policy(judge={"deadline": "1h", "onDeadline": on_deadline})
    _, verdict = _repeat(spec, 1, HEALTHY, Stage("canary", 0.1, 0.5, 30, 3600))
    assert verdict.decision is decision
    assert verdict.metric == "deadline"
    assert "within the deadline of 3,600 s" in verdict.reasons[0]


def test_a_doubtful_estimate_is_not_promoted_at_the_deadline(policy):
    spec = policy(judge={"deadline": "1h", "onDeadline": "promote"})
    seen = Observation(1.0, 0.1, ArmCounts(900, 1), ArmCounts(100, 1))
    _, verdict = _repeat(spec, 1, seen, Stage("canary", 0.1, 0.5, 30, 3600))
    assert verdict.decision is Decision.HOLD
    assert "not promoting: error rate 1 % (1 of 100)" in verdict.reasons[0]


def test_the_deadline_promotes_nobody_who_was_not_seen_at_this_step(policy):
    spec = policy(judge={"deadline": "1h", "onDeadline": "promote"})
    evidence, _ = _repeat(spec, 3, Observation(1.0, 0.1, ArmCounts(9), ArmCounts(1)), STEP)
    late = Stage("canary", 0.5, 1.0, 30, 3600)
    _, verdict = _repeat(spec, 9, Observation(1.0, 0.5, None, None), late, evidence)
    assert (verdict.decision, verdict.metric) == (Decision.HOLD, "")
    _, verdict = _repeat(spec, 1, Observation(1.0, 0.5, ArmCounts(9), ArmCounts(0)), late, evidence)
    assert verdict.decision is Decision.CONTINUE
    _, verdict = _repeat(spec, 1, Observation(1.0, 0.5, ArmCounts(9), ArmCounts(9)), late, evidence)
    assert verdict.decision is Decision.PROMOTE


def test_the_deadline_shortens_no_least_time(policy):
    spec = policy(judge={"deadline": "1h", "onDeadline": "promote"})
    _, verdict = _repeat(spec, 1, HEALTHY, Stage("canary", 0.1, 0.5, 1.5, 3600))
    assert verdict.decision is Decision.CONTINUE
    assert "2 s of the least time at this step are left" in verdict.reasons


def test_the_deadline_does_not_promote_what_is_not_split_as_told(policy):
    spec = policy(judge={"deadline": "1h", "onDeadline": "promote"})
    wrong = Observation(1.0, 0.1, ArmCounts(700), ArmCounts(300))
    _, verdict = _repeat(spec, 2, wrong, Stage("canary", 0.1, 0.5, 30, 3600))
    assert (verdict.decision, verdict.metric) == (Decision.HOLD, "split")


def test_traffic_that_is_not_split_as_told_holds(policy):
    wrong = Observation(1.0, 0.1, ArmCounts(700), ArmCounts(300))
    _, verdict = _repeat(policy(), 2, wrong, STEP)
    assert verdict.decision is Decision.HOLD
    assert verdict.metric == "split"
    assert (
        "got 30 % of the requests of this step (600 of 2,000), but was given a weight of 10 %"
        in (verdict.reasons[0])
    )


def test_a_repaired_split_ends_the_hold(policy):
    evidence, _ = _repeat(policy(), 500, Observation(1.0, 0.1, ArmCounts(700), ArmCounts(300)), STEP)
    _, verdict = _repeat(policy(), 10, HEALTHY, STEP, evidence)
    assert verdict.metric != "split"


def test_a_cold_cache_is_not_the_candidates_fault(policy):
    """The same share of failures among the runs; stable has nine hits in ten, the candidate nearly none."""
    stable, candidate = ArmCounts(900, 9, cached=8100), ArmCounts(900, 9, cached=100)
    _, verdict = _repeat(policy(), 30, Observation(1.0, 0.1, stable, candidate), STEP)
    assert verdict.decision is not Decision.ROLL_BACK
    assert verdict.metric != "split"
    diluted = Observation(1.0, 0.1, ArmCounts(9000, 9), ArmCounts(1000, 9))
    _, verdict = _repeat(policy(), 30, diluted, STEP)
    assert verdict.decision is Decision.ROLL_BACK


def test_a_warm_cache_hides_no_harm(policy):
    seen = Observation(1.0, 0.1, ArmCounts(4500, 4, cached=4500), ArmCounts(100, 10, cached=900))
    _, verdict = _repeat(policy(), 30, seen, STEP)
    assert verdict.decision is Decision.ROLL_BACK


def test_answers_from_the_cache_are_traffic_though_no_evidence(policy):
    hits = Observation(60.0, 0.1, ArmCounts(9, cached=891), ArmCounts(0, cached=100))
    evidence, verdict = _repeat(policy(), 30, hits, STEP)
    assert evidence.silence.candidate == 0
    assert verdict.decision is Decision.CONTINUE


def test_harm_comes_before_a_doubtful_split(policy):
    seen = Observation(1.0, 0.1, ArmCounts(700), ArmCounts(300, 100))
    assert _repeat(policy(), 1, seen, STEP)[1].decision is Decision.ROLL_BACK


def test_the_first_moments_of_a_step_do_not_count_for_the_split(policy):
    seen = Observation(1.0, 0.5, ArmCounts(900), ArmCounts(100))
    _, verdict = _repeat(policy(), 3, seen, Stage("canary", 0.5, 1.0, 1.0, 30))
    assert verdict.metric != "split"


def test_p99_is_asked_for_from_a_quarter_of_the_traffic_on(policy):
    def asked(weight: float, following: float) -> list[str]:
        spec = policy("all", steps=("10%", "25%", "50%", "100%"))
        _, verdict = judge(spec, start(spec), HEALTHY, Stage("canary", weight, following))
        return [reading.metric for reading in verdict.readings if reading.demanded]

    assert asked(0.1, 0.25) == ["error_rate", "latency_p50"]
    assert asked(0.25, 0.5) == ["error_rate", "latency_p50", "latency_p99"]
    assert asked(0.1, 1.0) == ["error_rate", "latency_p50", "latency_p99"]


def test_at_least_half_of_the_evidence_comes_from_the_step_that_is_left(policy):
    spec = policy()
    evidence, verdict = _repeat(spec, 200, HEALTHY, STEP)
    assert verdict.readings[0].safety > 2 * verdict.readings[0].safety_bound
    seen = Observation(1.0, 0.5, ArmCounts(1, 0), ArmCounts(1, 0))
    _, verdict = judge(spec, evidence, seen, Stage("canary", 0.5, 1.0, 30, 60))
    assert verdict.readings[0].safety == pytest.approx(log(20) / 2, abs=0.05)


def test_a_bad_first_minute_can_be_made_good(policy):
    """Failures of both arms alike at first: evidence for safety recovers by a later start."""
    spec = policy(judge={"guardrails": [{"metric": "error_rate", "maxIncrease": "1%"}]})
    warm_up = Observation(1.0, 0.1, ArmCounts(900, 20), ArmCounts(100, 3))
    evidence, _ = _repeat(spec, 60, warm_up, STEP)
    _, verdict = _repeat(spec, 60, HEALTHY, STEP, evidence)
    assert verdict.decision is Decision.PROMOTE


def test_one_budget_is_shared_by_all_guardrails(policy):
    shares = {rule.metric: rule.share for rule in plan(policy("all")).rules}
    assert shares == {Metric.ERROR_RATE: 0.5, Metric.LATENCY_P50: 0.25, Metric.LATENCY_P99: 0.25}
    assert plan(policy("errors")).rules[0].share == 1
    default = plan(RolloutSpec())
    assert sum(rule.share for rule in default.rules) + default.disagreement_share == pytest.approx(1)


@pytest.mark.parametrize(("increase", "buckets"), [("15%", 2), ("25%", 3), ("100%", 10), ("1%", 1)])
def test_a_latency_margin_is_counted_in_whole_buckets(policy, increase, buckets):
    spec = policy([{"metric": "latency_p50", "maxIncrease": increase}])
    assert plan(spec).rules[0].allowance.buckets == buckets


@pytest.mark.parametrize(
    ("stable", "least", "allowed"),
    [(0.002, 0.001, 0.003), (0.1, 0.001, 0.115), (0.002, 0.0, 0.0023), (0.002, 0.005, 0.007)],
)
def test_a_latency_may_rise_by_its_share_or_by_a_least_increase_and_by_no_more(
    policy, stable, least, allowed
):
    spec = policy([{"metric": "latency_p50", "maxIncrease": "15%", "minIncrease": f"{least * 1000:g}ms"}])
    limit = bisect_right(BOUNDS, stable)
    bound = BOUNDS[limit - 1]
    over = BOUNDS[limit - 1 + plan(spec).rules[0].allowance.above(limit)]
    assert over <= max(1.15 * bound, bound + least) + 1e-12
    assert over * 2**0.1 > min(allowed, max(1.15 * bound, bound + least))


def test_a_stable_beyond_the_last_bucket_does_not_silence_the_judge(policy, arm):
    spec, rng = policy("all", judge={"warmUp": "0s"}), [40.0] * 8 + [0.02] * 392
    evidence, _ = _repeat(spec, 1, Observation(1.0, 0.1, arm(400, 0, rng), arm(40, 0, rng[-40:])), STEP)
    failing = Observation(1.0, 0.1, arm(400, 0, rng), arm(100, 100))
    for stage in (STEP, Stage("shadow", 0.0, 0.1, 30, 30), Stage("probation", 1.0, 1.0, 30, 30)):
        _, verdict = _repeat(spec, 4, failing, stage, evidence)
        assert verdict.decision is Decision.ROLL_BACK


@pytest.mark.parametrize("stable", [40.0, 31.0])
def test_answers_slower_than_can_be_told_apart_are_not_shown_to_be_safe(policy, arm, stable):
    """Half of stable's answers lie in the last buckets; all of the candidate's in the last one."""
    spec = policy([{"metric": "latency_p50", "maxIncrease": "15%"}], judge={"warmUp": "0s"})
    seen = Observation(1.0, 0.5, arm(100, 0, [0.1] * 49 + [stable] * 51), arm(100, 0, [60.0] * 100))
    _, verdict = _repeat(spec, 40, seen, Stage("canary", 0.5, 1.0, 60, 60))
    assert verdict.decision is not Decision.PROMOTE


def test_every_step_tolerates_the_same_share_of_all_users(policy):
    rule = plan(policy()).rules[0]
    assert [rule.margin_for(w) for w in (0.01, 0.5, 1.0)] == pytest.approx([0.2, 0.004, 0.002])
    assert rule.margin_for(0.001) == 0.5
