"""A look is one line of JSON, from which it comes back to the last bit."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.latency import BUCKETS
from modelserve.domain.rollouts import (
    ArmCounts,
    Decision,
    GuardrailReading,
    Observation,
    Outcome,
    PairCounts,
    Trials,
    Verdict,
)
from modelserve.errors import InvalidInput
from modelserve.rollout.looks import Ground, Look, decode, encode, from_json, policy_digest, seal, to_json

COUNT = st.integers(0, 10**12)
REAL = st.floats()
TEXT = st.text(max_size=20)
HISTOGRAM = st.just(()) | st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(0, 10**6), max_size=8).map(
    lambda found: tuple(found.get(i, 0) for i in range(BUCKETS))
)
ARM = st.none() | st.builds(ArmCounts, COUNT, COUNT, HISTOGRAM, COUNT)
TRIALS = st.none() | st.builds(Trials, REAL, REAL)
OBSERVATION = st.builds(
    Observation,
    seconds=REAL,
    candidate_weight=REAL,
    stable=ARM,
    candidate=ARM,
    pairs=st.none() | st.builds(PairCounts, COUNT, COUNT, COUNT, COUNT),
    candidate_ready=st.none() | st.booleans(),
    outcomes=st.dictionaries(TEXT, st.builds(Outcome, TRIALS, TRIALS), max_size=3),
    values=st.dictionaries(TEXT, st.none() | REAL, max_size=3),
    hard_failure=TEXT,
    notes=st.lists(TEXT, max_size=3).map(tuple),
)
STAGE = st.fixed_dictionaries({"kind": st.sampled_from(["shadow", "canary"]), "elapsed": st.floats(0, 1e9)})
GROUND = st.none() | st.builds(
    Ground, st.dictionaries(TEXT, st.floats(allow_nan=False), max_size=3), TEXT, st.just({"code": "ab"})
)
LOOK = st.builds(
    Look,
    at=REAL,
    stage=STAGE,
    observation=OBSERVATION,
    number=st.integers(0, 10**9),
    decision=st.none() | st.sampled_from(Decision),
    metric=TEXT,
    weight=st.floats(0, 1),
    seal=TEXT,
    ground=GROUND,
)

BARE = Look(1000.5, {"kind": "canary", "weight": 0.1}, Observation(1.0))


@given(LOOK)
def test_that_gives_it_back_to_the_last_bit(look):
    line = encode(look)
    assert "\n" not in line
    again = decode(line)
    assert repr(replace(again, ground=None)) == repr(replace(look, ground=None))
    assert encode(again) == line


@given(LOOK)
def test_that_any_reader_of_json_can_read(look):
    json.loads(encode(look), parse_constant=pytest.fail)


def test_that_a_person_can_read():
    latency = tuple(12 if i == 40 else 0 for i in range(172))
    seen = Observation(0.5, 0.1, ArmCounts(90, 1), ArmCounts(12, 0, latency), values={"gpu": math.inf})
    look = Look(1000.5, {"kind": "canary", "weight": 0.1}, seen, 7, Decision.CONTINUE, weight=0.1)
    assert encode(look) == (
        '{"at":1000.5,"stage":{"kind":"canary","weight":0.1},"observation":{"seconds":0.5,"candidate_weight":0.1,'
        '"stable":{"requests":90,"failures":1},"candidate":{"requests":12,"latency":{"buckets":172,"counts":'
        '{"40":12}}},"values":{"gpu":"inf"}},"number":7,"decision":"continue","weight":0.1}'
    )


def test_of_which_three_fields_are_enough():
    line = '{"at": 1000.5, "stage": {"kind": "canary", "weight": 0.1}, "observation": {"seconds": 1}}'
    assert decode(line) == BARE


def test_in_which_a_histogram_may_be_whole():
    whole = {"seconds": 1, "stable": {"requests": 3, "latency": [0, 3]}}
    found = from_json({"at": 1, "stage": {}, "observation": whole})
    assert found.observation.stable == ArmCounts(3, 0, (0, 3))


def test_that_takes_numbers_of_numpy():
    seen = Observation(1.0, stable=ArmCounts(np.int64(3), 0, tuple(np.array([0, 3]))))
    look = replace(BARE, observation=seen)
    assert decode(encode(look)).observation.stable == ArmCounts(3, 0, (0, 3))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "Expecting value"),
        ("[1]", "must be a JSON object, not list"),
        ('{"stage": {}, "observation": {"seconds": 1}}', "at: Field required"),
        ('{"at": 1, "stage": 3, "observation": {"seconds": 1}}', "stage: Input should be a valid dictionary"),
        ('{"at": 1, "stage": {}, "observation": {}}', "observation.seconds: Field required"),
        (
            '{"at": 1, "stage": {}, "observation": {"seconds": 1, "stable": {"latency": {"buckets": 2}}}}',
            "latency must be like",
        ),
        (
            '{"at": 1, "stage": {}, "observation": {"seconds": 1, "stable": '
            '{"latency": {"buckets": 99999999999, "counts": {"10000": 1}}}}}',
            "latency must be like",
        ),
    ],
)
def test_that_says_what_is_wrong_with_it(line, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        decode(line)


READING = GuardrailReading("error_rate", 0.1, 0.2, 0.1 + 0.2, 4.6, -math.inf, 3.0, True, None)
VERDICT = Verdict(Decision.CONTINUE, ("so far so good",), (READING,), 12, "")


@pytest.mark.parametrize(
    "other",
    [
        replace(VERDICT, decision=Decision.HOLD),
        replace(VERDICT, reasons=("so far so bad",)),
        replace(VERDICT, readings=(replace(READING, harm=0.3),)),
        replace(VERDICT, readings=()),
        replace(VERDICT, requests=13),
        replace(VERDICT, metric="split"),
    ],
)
def test_whose_seal_differs_if_the_verdict_does_in_one_bit(other):
    assert seal(VERDICT) == seal(replace(VERDICT))
    assert seal(other) != seal(VERDICT)


def test_the_digest_of_the_rules_does_not_depend_on_their_order():
    assert policy_digest({"a": 1, "b": [0.1]}) == policy_digest({"b": [0.1], "a": 1})
    assert policy_digest({"a": 1}) != policy_digest({"a": 2})


def test_a_transition_may_hold_it():
    look = replace(BARE, ground=Ground({"logs": [math.inf]}, "ab", {"code": "cd"}))
    document = json.loads(json.dumps(to_json(look), allow_nan=False))
    assert from_json(document).ground == Ground({"logs": ["inf"]}, "ab", {"code": "cd"})
