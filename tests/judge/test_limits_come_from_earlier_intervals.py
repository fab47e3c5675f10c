from __future__ import annotations

import numpy as np
import pytest

from modelserve.domain.rollouts import ArmCounts, Observation
from modelserve.judge import Stage, judge, start
from modelserve.judge.evidence import FIRST_HARM_STAKE, Recent
from modelserve.judge.plan import ERROR_ODDS, plan
from modelserve.judge.samples import View, outlook
from modelserve.statistics.blocks import Block, log_worse, odds_shift
from modelserve.statistics.wealth import Wealth

STEP = Stage("canary", 0.1, 0.5, 30, 30)


def _harm(past: Recent, block: Block, before: Wealth) -> float:
    base = View.of(past).failure_rate((0.5, 500))
    return before.grow([log_worse(block, odds_shift(base, odds), base) for odds in ERROR_ODDS]).log


def test_an_interval_is_judged_by_what_was_known_before_it(policy):
    """Its own failures, on either arm, move neither the baseline nor the alternatives that judge it."""
    spec = policy()
    _, verdict = judge(spec, start(spec), Observation(1.0, 0.1, ArmCounts(900, 40), ArmCounts(100, 1)), STEP)
    fresh = Wealth.begin(len(ERROR_ODDS), FIRST_HARM_STAKE)
    assert verdict.readings[0].harm == _harm(Recent(), Block(100, 1, 900, 40), fresh)


def test_the_next_interval_is_judged_by_it(policy):
    spec = policy()
    evidence, _ = judge(spec, start(spec), Observation(1.0, 0.1, ArmCounts(900, 40), ArmCounts(100, 1)), STEP)
    before = evidence.tracks[0].harm.wealth
    assert evidence.stable == Recent(900, 40)
    index = evidence.tracks[0].harm.noise[0].index()
    _, verdict = judge(spec, evidence, Observation(1.0, 0.1, ArmCounts(900, 40), ArmCounts(100, 1)), STEP)
    base = View.of(evidence.stable).failure_rate((0.5, 500))
    block = Block(100, 1, 900, 40)
    grown = before.grow([log_worse(block, odds_shift(base, odds), base) / index for odds in ERROR_ODDS])
    assert verdict.readings[0].harm == grown.log


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_a_latency_limit_lies_on_the_strict_side_of_the_quantile(quantile, arm, policy):
    rng = np.random.default_rng(8)
    past = View.of(Recent().add(arm(1000, 0, 0.003 * np.exp(0.4 * rng.standard_normal(1000)))))
    rule = plan(policy([{"metric": "latency_p50", "maxIncrease": "15%", "minIncrease": "0s"}])).rules[0]
    harm, safety = outlook(quantile, rule, past, above=True), outlook(quantile, rule, past, above=False)
    assert past.slow.beyond(harm.limit) <= (1 - quantile) * 1000 <= past.slow.beyond(safety.limit)
    assert harm.limit == safety.limit + 1
    assert harm.healthy < harm.base


def test_a_short_past_sets_no_latency_limit(arm, policy):
    assert (
        outlook(
            0.5, plan(policy("all")).rules[1], View.of(Recent().add(arm(199, 0, [0.002] * 199))), above=True
        )
        is None
    )


def test_no_chance_is_taken_for_impossible_or_certain():
    assert 0 < View.of(Recent(10_000, 0)).failure_rate((0.5, 500)) < 0.0001
    assert View.of(Recent(10_000, 10_000)).failure_rate((0.5, 500)) < 1
