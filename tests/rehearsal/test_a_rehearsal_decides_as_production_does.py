"""A rehearsal goes the way of a production rollout: shadow, steps, holds, least times, deadline."""

from dataclasses import replace

import pytest

from modelserve.domain.latency import BOUNDS
from modelserve.domain.rollouts import ArmCounts, Observation, PairCounts
from modelserve.domain.services import RolloutSpec
from modelserve.errors import InvalidInput
from modelserve.rehearsal.drive import Journey
from modelserve.rehearsal.regressions import Regression, parse_regression
from modelserve.rehearsal.scene import Scene, Stage, rehearsable
from modelserve.rehearsal.simulation import rehearse, simulate, wilson
from modelserve.statistics.histograms import Tails

ERRORS = {"guardrails": [{"metric": "error_rate", "maxIncrease": "0.2%"}]}


def policy(judge=ERRORS, shadow=None, **canary) -> RolloutSpec:
    canary = {"steps": ["10%", "50%", "100%"], "minStep": "10s", **canary}
    return RolloutSpec.model_validate({"shadow": shadow, "canary": canary, "judge": judge})


class Script:
    """Arrivals by a function of time and weight, and a note of the weights asked for."""

    def __init__(self, seen):
        self.seen, self.weights = seen, []

    def tick(self, now, weight):
        self.weights.append(weight)
        return self.seen(now, weight)

    def expected(self, now):
        return 0.0


def even(now, weight):
    candidate = round(1000 * weight)
    return Observation(1.0, weight, ArmCounts(1000 - candidate), ArmCounts(candidate))


def test_a_good_candidate_climbs_every_step_and_no_step_is_shorter_than_the_least_time():
    script = Script(even)
    outcome = Journey(policy(), script, 1.0).run(600)
    assert outcome.end == "promoted"
    assert list(dict.fromkeys(script.weights)) == [0.1, 0.5]
    assert script.weights.count(0.1) >= 10
    assert outcome.half == script.weights.count(0.1)


def test_a_candidate_that_gets_no_requests_is_held_and_not_promoted():
    silent = Script(lambda now, weight: replace(even(now, weight), candidate=ArmCounts()))
    assert Journey(policy(), silent, 1.0).run(120).end == "held"


def test_a_hold_ends_when_there_is_data_again():
    gap = Script(lambda now, weight: Observation(1.0, weight) if 5 <= now < 40 else even(now, weight))
    assert Journey(policy(), gap, 1.0).run(600).end == "promoted"


def test_the_deadline_leaves_it_to_a_person():
    spec = policy(judge=ERRORS | {"deadline": "5s"})
    outcome = Journey(spec, Script(even), 1.0).run(600)
    assert (outcome.end, outcome.metric, outcome.seconds) == ("held", "deadline", 5.0)


def test_answers_that_differ_are_stopped_in_the_shadow_before_any_client_sees_one():
    def shadowed(now, weight):
        assert weight == 0
        return replace(even(now, 0.0), candidate=ArmCounts(20), pairs=PairCounts(20, 8))

    outcome = Journey(policy(shadow={}), Script(shadowed), 1.0).run(600)
    assert (outcome.end, outcome.metric) == ("rolled back", "disagreement")
    assert outcome.candidate_requests == 0


@pytest.mark.parametrize(("answers", "end"), [("none", "promoted"), ("answers 60%", "rolled back")])
def test_where_stable_answers_twice_its_own_noise_is_not_held_against_the_candidate(answers, end):
    spec = policy(shadow={"noiseFloor": True})
    scene = Scene(200, 0.001, parse_regression(answers), disagreement=0.1)
    assert [rehearse(spec, scene, seed, 600.0).end for seed in range(4)] == [end] * 4


def test_the_interval_after_a_change_of_weight_is_nobodys_evidence_where_counters_are_read_twice():
    first = Script(lambda now, weight: replace(even(now, weight), candidate=ArmCounts(100, 100)))
    assert Journey(policy(), first, 1.0).run(60).seconds == 1.0
    assert Journey(policy(), first, 1.0, blind=True).run(60).seconds == 2.0


def test_equal_seeds_give_equal_rollouts_whatever_the_number_of_processes():
    scenes = [Scene(50, 0.001, parse_regression("errors 5%")), Scene(50, 0.001, parse_regression("none"))]
    alone = simulate(policy(), scenes, 8, 3, 60.0)
    shared = simulate(policy(), scenes, 8, 3, 60.0, processes=2)
    assert alone == shared
    assert len(alone[0].outcomes) == 8


def test_a_fault_that_starts_late_is_found_after_it_started():
    scene = Scene(200, 0.001, parse_regression("errors 20% after 30s"))
    outcome = rehearse(policy(minStep="60s"), scene, 1, 300.0)
    assert outcome.end == "rolled back"
    assert 30 < outcome.seconds < 60


def test_a_fault_that_starts_after_the_promotion_is_found_in_probation():
    scene = Scene(200, 0.001, parse_regression("errors 20% after 200s"))
    outcome = rehearse(policy(minStep="10s"), scene, 1, 600.0)
    assert outcome.end == "rolled back"
    assert outcome.promoted < 200 < outcome.seconds < 230


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("none", Regression("none")),
        ("errors 1%", Regression("errors 1%", errors=0.01)),
        ("p99 +50%", Regression("p99 +50%", p99=0.5)),
        ("  errors 5%   after 300s ", Regression("errors 5% after 300s", errors=0.05, after=300.0)),
        ("p50 +20%, answers 3%", Regression("p50 +20%, answers 3%", p50=0.2, answers=0.03)),
    ],
)
def test_a_regression_reads_as_it_is_written(text, wanted):
    assert parse_regression(text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", '"errors 1%"'),
        ("errors", '"errors 1%"'),
        ("errors 1", '"errors 1%"'),
        ("errors 101%", "at most 100%"),
        ("p99 50%", '"p99 +50%"'),
        ("errors 1% after soon", '"30s"'),
        ("errors 1%, errors 2%", "once"),
        ("none after 3s", '"none"'),
        ("errors 1.2.3%", "percent"),
    ],
)
def test_a_regression_that_is_none_is_told_how_one_is_written(text, words):
    with pytest.raises(InvalidInput, match="--regression: got ") as refused:
        parse_regression(text)
    assert words in refused.value.message


def test_a_worse_p99_is_as_much_worse_as_told_and_the_median_stays():
    scene = Scene(20_000, 0.0, parse_regression("p99 +50%"))
    seen = Stage(scene, policy(), 1).tick(0.0, 0.5)
    slow, base = seen.candidate, seen.stable
    assert quantile(slow, 0.99) == pytest.approx(1.5 * quantile(base, 0.99), rel=0.15)
    assert quantile(slow, 0.5) == pytest.approx(quantile(base, 0.5), rel=0.1)


def quantile(arm, q):
    return BOUNDS[Tails(arm.latency).bucket_of(q)]


def test_guardrails_without_simulated_figures_are_left_out_by_name():
    rails = [*ERRORS["guardrails"], {"metric": "accuracy", "maxDecrease": "1%"}]
    kept, left = rehearsable(policy(judge={"guardrails": rails}))
    assert left == ("accuracy",)
    assert [rail.key for rail in kept.judge.guardrails] == ["error_rate"]
    with pytest.raises(InvalidInput, match="accuracy"):
        rehearsable(policy(judge={"guardrails": rails[1:]}))


def test_limits_of_a_chance_hold_it():
    low, high = wilson(0, 200)
    assert low == pytest.approx(0.0)
    assert 0.015 < high < 0.02
    assert wilson(200, 200)[1] == pytest.approx(1.0)
