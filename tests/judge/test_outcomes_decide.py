"""Labels, custom sources and plain limits decide as errors do, within a margin of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from math import comb, exp
from typing import Any

import numpy as np
import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, Observation, Outcome, Trials, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, Stage, judge, start

ERRORS = {"metric": "error_rate", "maxIncrease": "0.2%"}
ACCURACY = {"metric": "accuracy", "maxDecrease": "1%"}
SOURCE = {"http": "http://figures.test/{revision}"}
RETURNS = {"metric": "custom", "name": "returns", "kind": "rate", "maxIncrease": "1%", "source": SOURCE}
MEMORY = {"metric": "custom", "name": "memory", "kind": "limit", "limit": 900, "source": SOURCE}
STEP = Stage("canary", 0.5, 1.0, 60, 60)
PROBATION = Stage("probation", 1.0, 1.0, 5, 100)


def seen(**more: Any) -> Observation:
    return Observation(1.0, 0.5, ArmCounts(100), ArmCounts(100), **more)


def told(key: str, candidate: tuple[float, float] | None, stable: tuple[float, float] | None) -> Observation:
    arms = (Trials(*arm) if arm else None for arm in (stable, candidate))
    return seen(outcomes={key: Outcome(*arms)})


def run(spec: RolloutSpec, *looks: Observation, stage: Stage = STEP) -> tuple[Evidence, Verdict]:
    evidence = start(spec)
    for look in looks:
        evidence, verdict = judge(spec, Evidence.load(json.loads(json.dumps(evidence.dump()))), look, stage)
    return evidence, verdict


def test_a_worse_accuracy_rolls_back_and_names_its_numbers(policy):
    _, verdict = run(policy([ERRORS, ACCURACY]), *[told("accuracy", (50, 15), (50, 5))] * 20)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "accuracy"
    assert verdict.reasons[0].startswith("accuracy 70 % (of 1,000) against 90 % on stable (of 1,000): the")
    assert "worse than its margin allows is" in verdict.reasons[0]
    reading = verdict.readings[1]
    assert (reading.metric, reading.stable, reading.candidate) == ("accuracy", 0.9, 0.7)


def test_an_accuracy_within_its_margin_is_no_harm(policy):
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(60):
        looks = [
            told("accuracy", (40, int(rng.binomial(40, 0.11))), (40, int(rng.binomial(40, 0.1))))
            for _ in range(40)
        ]
        wrong += run(policy([ERRORS, ACCURACY]), *looks)[1].decision is Decision.ROLL_BACK
    assert wrong <= 2


def test_labels_may_never_come_and_nothing_waits_for_them(policy):
    _, verdict = run(policy([ERRORS, ACCURACY]), *[seen()] * 40)
    assert verdict.decision is Decision.PROMOTE
    assert verdict.readings[1].stable is None


def test_required_labels_are_waited_for(policy):
    spec = policy([ERRORS, ACCURACY | {"required": True}])
    _, verdict = run(spec, *[seen()] * 40)
    assert verdict.decision is Decision.CONTINUE
    assert verdict.reasons == (
        "accuracy not measured yet: the evidence that it is within the margin is 1 of 20",
    )
    _, verdict = run(spec, *[told("accuracy", (200, 10), (200, 20))] * 40)
    assert verdict.decision is Decision.PROMOTE


@pytest.mark.parametrize("stable_first", [False, True])
def test_outcomes_of_one_arm_wait_for_the_other(policy, stable_first):
    spec = policy([ERRORS, ACCURACY | {"required": True}])
    apart = [told("accuracy", (50, 15), None), told("accuracy", None, (50, 9))]
    evidence, _ = run(spec, *(reversed(apart) if stable_first else apart))
    together, _ = run(spec, seen(), told("accuracy", (50, 15), (50, 9)))
    assert evidence.families[0].parts == together.families[0].parts


@pytest.mark.parametrize(
    ("decrease", "m", "n", "chance"), [("5%", 20, 10, 0.3), ("0.5%", 40, 10, 0.3), ("1%", 20, 1, 0.1)]
)
def test_evidence_is_fair_when_stables_outcomes_come_first(policy, decrease, m, n, chance):
    """The largest expectation while the candidate is within its margin, by exact enumeration, is 1."""
    spec = policy([ERRORS, ACCURACY | {"maxDecrease": decrease}])
    worse, expected = chance + float(decrease.rstrip("%")) / 100, 0.0
    for g in range(m + 1):
        waiting, _ = judge(spec, start(spec), told("accuracy", None, (m, g)), STEP)
        for f in range(n + 1):
            evidence, _ = judge(spec, waiting, told("accuracy", (n, f), None), STEP)
            weight = comb(n, f) * worse**f * (1 - worse) ** (n - f)
            weight *= comb(m, g) * chance**g * (1 - chance) ** (m - g)
            expected += weight * exp(evidence.families[0].parts[0].harm.wealth.log)
    assert 0.8 < expected <= 1 + 1e-9


def test_what_was_not_seen_changes_no_evidence(policy):
    spec = policy([ERRORS, ACCURACY])
    evidence, _ = run(spec, told("accuracy", None, None), told("accuracy", (0, 0), None), seen())
    assert evidence.families[0].parts == ()


def test_a_score_may_be_any_number_between_0_and_1(policy):
    rail = {"metric": "score", "maxDecrease": "2%"}
    _, verdict = run(policy([ERRORS, rail]), *[told("score", (50, 22.5), (50, 9.25))] * 20)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.reasons[0].startswith("score 0.55 (of 1,000) against 0.815 on stable (of 1,000)")
    assert verdict.readings[1].unit == "number"


def test_a_mean_is_told_on_its_own_scale(policy):
    rail = RETURNS | {"name": "steps", "kind": "mean", "low": 10, "high": 30, "required": False}
    _, verdict = run(policy([ERRORS, rail]), *[told("steps", (50, 40), (50, 5))] * 5)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.reasons[0].startswith("steps 26 (of 250) against 12 on stable (of 250)")


def test_a_required_source_without_data_holds_and_is_named(policy):
    spec = policy([ERRORS, RETURNS])
    _, verdict = run(spec, told("returns", None, None))
    assert verdict.decision is Decision.HOLD
    assert verdict.reasons[0].startswith("no data for returns from http://figures.test/{revision}; that is")
    _, verdict = run(spec, *[seen()] * 59)
    assert verdict.decision is Decision.CONTINUE
    _, verdict = run(spec, *[seen()] * 61)
    assert verdict.decision is Decision.HOLD
    optional = policy([ERRORS, RETURNS | {"required": False}])
    assert run(optional, told("returns", None, None))[1].decision is Decision.CONTINUE


def test_a_required_source_must_show_safety(policy):
    spec = policy([ERRORS, RETURNS])
    healthy = [told("returns", (60, 1), (60, 1))] * 60
    _, verdict = run(spec, *healthy[:5])
    assert verdict.decision is Decision.CONTINUE
    assert verdict.readings[1].needed
    assert run(spec, *healthy)[1].decision is Decision.PROMOTE


@pytest.mark.parametrize("looks", [5, 6])
def test_a_plain_limit_takes_three_readings_over_five_seconds(policy, looks):
    high = [seen(values={"memory": 950.0})] * looks
    _, verdict = run(policy([ERRORS, MEMORY]), *high)
    assert verdict.decision is (Decision.ROLL_BACK if looks == 6 else Decision.CONTINUE)
    if looks == 6:
        assert verdict.reasons == ("memory is 950, above its limit of 900, in 6 readings in a row",)
        assert verdict.metric == "memory"


def test_a_value_below_the_limit_forgives_and_none_holds(policy):
    spec, high = policy([ERRORS, MEMORY]), seen(values={"memory": 950.0})
    _, verdict = run(spec, *[high] * 4, seen(values={"memory": 900.0}), *[high] * 4)
    assert verdict.decision is Decision.CONTINUE
    _, verdict = run(spec, seen(values={"memory": 800.0}), seen(values={"memory": None}))
    assert verdict.decision is Decision.HOLD
    assert "no data for memory" in verdict.reasons[0]


def test_no_step_ends_above_a_plain_limit(policy):
    spec, low, high = policy([ERRORS, MEMORY]), seen(values={"memory": 1.0}), seen(values={"memory": 901.0})
    assert run(spec, *[low] * 40)[1].decision is Decision.PROMOTE
    _, verdict = run(spec, *[low] * 39, high)
    assert verdict.decision is Decision.CONTINUE
    assert verdict.reasons == ("memory is 901, above its limit of 900",)


def test_labels_still_count_in_probation_against_both_arms(policy):
    spec = policy([ERRORS, ACCURACY])
    evidence, _ = run(spec, *[told("accuracy", (50, 5), (50, 5))] * 10)
    for _ in range(15):
        evidence, verdict = judge(spec, evidence, told("accuracy", (50, 15), (50, 5)), PROBATION)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "accuracy"


def test_labels_of_the_candidate_alone_count_against_stables_record(policy):
    spec = policy([ERRORS, ACCURACY])
    evidence, _ = run(spec, *[told("accuracy", (50, 5), (50, 5))] * 20)
    for _ in range(20):
        evidence, verdict = judge(spec, evidence, told("accuracy", (50, 5), None), PROBATION)
        assert verdict.decision is Decision.CONTINUE
    for _ in range(20):
        evidence, verdict = judge(spec, evidence, told("accuracy", (50, 17), None), PROBATION)
    assert verdict.decision is Decision.ROLL_BACK


def test_at_the_deadline_told_figures_must_be_within_their_margins(policy):
    spec = policy([ERRORS, ACCURACY], judge={"deadline": "1h", "onDeadline": "promote"})
    late = Stage("canary", 0.5, 1.0, 60, 3600)
    _, verdict = run(spec, told("accuracy", (50, 9), (50, 5)), stage=late)
    assert verdict.decision is Decision.HOLD
    assert "not promoting: accuracy 82 %" in verdict.reasons[0]
    assert run(spec, told("accuracy", (50, 5), (50, 5)), stage=late)[1].decision is Decision.PROMOTE


def test_a_required_source_without_data_is_quoted_where_it_said_why(policy):
    note = "returns: http://figures.test answered 404"
    _, verdict = run(policy([ERRORS, RETURNS]), replace(told("returns", None, None), notes=("x: y", note)))
    assert verdict.reasons[0].startswith(f"no data for {note}; that is neither")
