from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, Observation, PairCounts
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Stage, judge, start

STAGE = Stage("shadow", 0.0, 0.01, 9, 9)


def _spec(**shadow: Any) -> RolloutSpec:
    return RolloutSpec.model_validate({"shadow": {"minPairs": 200, "maxDisagreement": "5%"} | shadow})


def _seen(pairs: int, differ: int, failed: int = 0) -> Observation:
    counts = PairCounts(pairs, differ, failed)
    return Observation(1.0, 0.0, ArmCounts(5 * pairs), ArmCounts(pairs, failed), counts)


def test_it_continues_until_enough_pairs_were_compared_and_then_promotes():
    spec = _spec()
    evidence, verdict = judge(spec, start(spec), _seen(150, 2), STAGE)
    assert verdict.decision is Decision.CONTINUE
    assert verdict.reasons == ("2 of 150 shadow pairs differed (1.3 %); 50 more pairs to compare",)
    _, verdict = judge(spec, evidence, _seen(50, 1), STAGE)
    assert verdict.decision is Decision.PROMOTE
    assert verdict.reasons == ("3 of 200 shadow pairs differed (1.5 %), within the limit of 5 %",)


@pytest.mark.parametrize(("policy", "decision"), [("rollBack", Decision.ROLL_BACK), ("hold", Decision.HOLD)])
def test_clear_disagreement_decides_before_all_pairs_are_in(policy, decision):
    spec = _spec(onDisagreement=policy)
    _, verdict = judge(spec, start(spec), _seen(60, 30), STAGE)
    assert verdict.decision is decision
    assert verdict.metric == "disagreement"
    assert verdict.reasons[0].startswith("30 of 60 shadow pairs differed (50 %), the limit is 5 %")


def test_disagreement_a_little_beyond_the_limit_holds():
    spec = _spec()
    _, verdict = judge(spec, start(spec), _seen(200, 12), STAGE)
    assert verdict.decision is Decision.HOLD
    assert verdict.metric == "disagreement"


def test_a_candidate_that_fails_on_copies_disagrees():
    spec = _spec()
    _, verdict = judge(spec, start(spec), _seen(100, 0, failed=40), STAGE)
    assert verdict.decision is Decision.ROLL_BACK


def test_failing_copies_are_harm_even_without_pairs():
    spec, evidence = _spec(), start(_spec())
    seen = Observation(1.0, 0.0, ArmCounts(500, 0), ArmCounts(100, 30), PairCounts())
    _, verdict = judge(spec, evidence, seen, STAGE)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "error_rate"


def test_slow_copies_are_no_harm(arm):
    spec, evidence = _spec(minPairs=100_000), start(_spec())
    for _ in range(60):
        seen = Observation(1.0, 0.0, arm(100, 0, [0.002] * 100), arm(20, 0, [0.5] * 20), PairCounts(20))
        evidence, verdict = judge(spec, evidence, seen, STAGE)
    assert verdict.decision is Decision.CONTINUE


def test_a_candidate_at_the_limit_is_rarely_rolled_back():
    spec, rng, wrong = _spec(minPairs=1_000_000), np.random.default_rng(5), 0
    for _ in range(80):
        evidence = start(spec)
        for _ in range(40):
            evidence, verdict = judge(spec, evidence, _seen(20, int(rng.binomial(20, 0.05))), STAGE)
            if verdict.decision is Decision.ROLL_BACK:
                wrong += 1
                break
    assert wrong <= 80 * 0.025


def test_without_a_shadow_stage_there_is_nothing_to_wait_for():
    spec = RolloutSpec.model_validate({"shadow": None})
    _, verdict = judge(spec, start(spec), _seen(0, 0), STAGE)
    assert verdict.decision is Decision.PROMOTE


def test_the_reasons_say_in_what_the_answers_differ():
    spec, counts = _spec(), PairCounts(150, 6, kinds={"type": 2, "boundary": 5})
    _, verdict = judge(
        spec, start(spec), Observation(1.0, 0.0, ArmCounts(750), ArmCounts(150), counts), STAGE
    )
    said = "6 of 150 shadow pairs differed (4 %: boundary 5, type 2); 50 more pairs to compare"
    assert verdict.reasons == (said,)


def _noisy(rng: np.random.Generator, only_candidate: float, only_stable: float, both: float) -> Observation:
    chances = (only_candidate, only_stable, both, 1 - only_candidate - only_stable - both)
    candidate, stable, same, _ = map(int, rng.multinomial(20, chances))
    counts = PairCounts(
        20, candidate + same, repeats=20, noise=stable + same, candidate_alone=candidate, stable_alone=stable
    )
    return Observation(1.0, 0.0, ArmCounts(100), ArmCounts(20), counts)


def _until_decided(chances: tuple[float, float, float], seed: int, looks: int = 60) -> Any:
    spec, rng = _spec(minPairs=400), np.random.default_rng(seed)
    evidence = start(spec)
    for _ in range(looks):
        evidence, verdict = judge(spec, evidence, _noisy(rng, *chances), STAGE)
        if verdict.decision is not Decision.CONTINUE:
            break
    return verdict


def test_a_model_that_differs_from_itself_may_differ_from_its_successor_as_often():
    verdicts = [_until_decided((0.2, 0.2, 0.1), seed) for seed in range(40)]
    assert all(verdict.decision is not Decision.ROLL_BACK for verdict in verdicts)
    assert sum(verdict.decision is Decision.PROMOTE for verdict in verdicts) > 30
    assert "stable differed from itself in" in verdicts[0].reasons[0]


def test_a_candidate_that_differs_far_beyond_the_noise_is_rolled_back():
    verdict = _until_decided((0.5, 0.05, 0.1), seed=1)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.metric == "disagreement"


def test_without_a_second_answer_of_stable_nothing_is_held_against_the_candidate():
    spec, counts = _spec(), PairCounts(300, 200, repeats=0)
    seen = Observation(1.0, 0.0, ArmCounts(1500), ArmCounts(300), counts)
    _, verdict = judge(spec, start(spec), seen, STAGE)
    assert verdict.decision is Decision.CONTINUE
    assert "200 more pairs to compare" in verdict.reasons[0]
