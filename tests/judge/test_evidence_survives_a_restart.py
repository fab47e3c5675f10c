from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserve.domain.rollouts import ArmCounts, Observation, PairCounts
from modelserve.domain.services import RolloutSpec
from modelserve.errors import InvalidInput
from modelserve.judge import Evidence, Stage, judge, start

SPEC = RolloutSpec()
STAGES = [
    Stage("shadow", 0.0, 0.01, 3, 3),
    Stage("canary", 0.01, 0.05, 40, 60),
    Stage("canary", 0.5, 1.0, 40, 90),
    Stage("probation", 1.0, 1.0, 9, 99),
]


@st.composite
def arms(draw: st.DrawFn) -> ArmCounts | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    requests = draw(st.integers(0, 400))
    seed, middle = draw(st.integers(0, 2**32 - 1)), draw(st.integers(5, 150))
    buckets = np.random.default_rng(seed).integers(middle - 5, middle + 20, requests)
    latency = tuple(int(n) for n in np.bincount(buckets, minlength=172))
    return ArmCounts(requests, draw(st.integers(0, requests)), draw(st.sampled_from([latency, ()])))


observations = st.builds(
    Observation,
    seconds=st.floats(0, 61),
    candidate_weight=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    stable=arms(),
    candidate=arms(),
    pairs=st.none() | st.builds(PairCounts, st.integers(9, 50), st.integers(0, 9), st.integers(0, 9)),
)
paths = st.lists(st.tuples(observations, st.sampled_from(STAGES)), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(paths)
def test_a_judge_that_is_restarted_at_every_tick_says_the_same_to_the_last_bit(path):
    steady, restarted = start(SPEC), start(SPEC)
    for seen, stage in path:
        steady, expected = judge(SPEC, steady, seen, stage)
        written = json.dumps(restarted.dump())
        restarted, verdict = judge(SPEC, Evidence.load(json.loads(written)), seen, stage)
        assert verdict == expected
    assert restarted == steady


@settings(max_examples=15, deadline=None)
@given(paths)
def test_equal_arguments_give_equal_verdicts_and_change_nothing(path):
    evidence = start(SPEC)
    for seen, stage in path:
        before = evidence.dump()
        first, second = judge(SPEC, evidence, seen, stage), judge(SPEC, evidence, seen, stage)
        assert first == second
        assert evidence.dump() == before
        evidence = first[0]


def test_its_size_is_constant(policy, world):
    spec, rng = policy("all"), np.random.default_rng(1)
    evidence, sizes = start(spec), []
    for tick in range(300):
        seen = world(latency=True).tick(rng, tick, 0.1, 60.0 if tick > 200 else 1.0)
        evidence, _ = judge(spec, evidence, seen, Stage("canary", 0.1, 0.5, tick, tick))
        sizes.append(len(json.dumps(evidence.dump())))
    assert sizes[-1] < 1.2 * sizes[100]
    assert sizes[-1] < 12_000


@pytest.mark.parametrize(
    ("change", "message"),
    [({"version": 99}, "has version 99"), ({"tracks": "none"}, "tracks"), ({"seen": "x"}, "seen")],
)
def test_what_it_did_not_write_is_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        Evidence.load(start(SPEC).dump() | change)


def test_evidence_for_another_policy_is_refused(policy):
    with pytest.raises(InvalidInput, match=r"gathered for error_rate over 2 steps, .* start anew"):
        judge(SPEC, start(policy()), Observation(1.0), STAGES[1])
