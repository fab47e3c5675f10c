"""Whatever was seen, under any rules: a record is judged again to the last bit, and a change is found."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelserve.audit import Record, explain
from modelserve.control.recording import look_at, this_judge, written
from modelserve.decision import opinion, stage
from modelserve.domain.latency import BUCKETS
from modelserve.domain.rollouts import ArmCounts, Observation, Outcome, PairCounts, Phase, Trials
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, start
from modelserve.rollout import advance, begin, candidate_weight
from modelserve.rollout.looks import decode, encode, policy_digest
from modelserve.stores.records import codec

RULES = {
    "shadow": {"minPairs": 20},
    "canary": {"steps": ["10%", "50%", "100%"], "minStep": "2s"},
    "probation": "20s",
    "judge": {
        "segments": [{"name": "tenant", "header": "x-tenant"}],
        "guardrails": [
            {"metric": "error_rate", "maxIncrease": "0.2%"},
            {"metric": "latency_p99", "maxIncrease": "25%"},
            {"metric": "error_rate", "maxIncrease": "1%", "segment": "tenant"},
            {"metric": "accuracy", "maxDecrease": "2%"},
            {
                "metric": "custom", "name": "gpu", "kind": "limit", "limit": 0.9, "required": False,
                "source": {"http": "http://127.0.0.1:1/figures"},
            },
        ],
    },
}  # fmt: skip
SPEC = RolloutSpec.model_validate(RULES)
READY = Observation(0.0, candidate_ready=True)


def arm(chance: random.Random, requests: int, failing: float) -> ArmCounts | None:
    if chance.random() < 0.05:
        return None
    counts = [0] * BUCKETS
    for _ in range(requests):
        counts[min(int(chance.gauss(60, 8)), BUCKETS - 1)] += 1
    return ArmCounts(requests, sum(chance.random() < failing for _ in range(requests)), tuple(counts))


def trials(chance: random.Random) -> Trials | None:
    return None if chance.random() < 0.2 else Trials(chance.random() * 9, chance.random())


def sight(chance: random.Random, weight: float, failing: float, shadow: bool) -> Observation:
    keys = ("error_rate by tenant=acme", "error_rate by tenant=b", "accuracy")
    return Observation(
        seconds=chance.choice([0.5, 0.5000001, 1.25]),
        candidate_weight=weight,
        stable=arm(chance, round(90 * (1 - weight)), 0.01),
        candidate=arm(chance, round(90 * weight) or 20, failing),
        pairs=PairCounts(9, chance.randrange(2), kinds={"label": 1}) if shadow else None,
        outcomes={key: Outcome(trials(chance), trials(chance)) for key in keys if chance.random() < 0.7},
        values={"gpu": chance.choice([None, 0.3, 0.1 + 0.2])},
        hard_failure="it crashes" if chance.random() < 0.002 else "",
        notes=("slow",) if chance.random() < 0.1 else (),
    )


def crowd(chance: random.Random, weight: float, failing: float, shadow: bool) -> Observation:
    stable, candidate = (chance.randrange(50_000, 100_000) for _ in range(2))
    return Observation(
        0.5,
        weight,
        ArmCounts(stable, chance.randrange(stable // 50)),
        ArmCounts(candidate, chance.randrange(candidate // 60)),
        PairCounts(9, 0) if shadow else None,
    )


def stored(value, adapter):
    """As it comes back from the records."""
    return codec.from_json(adapter, json.loads(codec.dumps(codec.to_json(value))))


def recorded(seed: int, failing: float, looks: int = 60) -> Record:
    """A rollout under random traffic, recorded as the controller records one."""
    chance, now = random.Random(seed), 1000.0
    fresh = begin(id="r", service="m", stable="m-00001", candidate="m-00002", now=now)
    rollout, first = advance(SPEC, fresh, READY, None, now)
    transitions, lines = [first], {}
    while not rollout.phase.done and rollout.looks < looks:
        before, now = stored(rollout, codec.ROLLOUT), now + chance.choice([0.5, 0.6, 3.0])
        seen = sight(chance, candidate_weight(SPEC, before), failing, before.course is Phase.SHADOW)
        evidence = Evidence.load(before.evidence) if before.evidence else start(SPEC)
        evidence, verdict = opinion(SPEC, before, evidence, seen, now)
        look = look_at(before, stage(SPEC, before, now), seen, verdict, now)
        after = replace(before, evidence=evidence.dump())
        after, transition = advance(SPEC, after, seen, verdict, now)
        rollout, transition, lines[before.looks] = written(look, before, after, transition, RULES)
        transitions += [transition] if transition else []
    kept = tuple(stored(each, codec.TRANSITION) for each in transitions)
    return Record(SPEC, policy_digest(RULES), stored(rollout, codec.ROLLOUT), kept, lines, this_judge())


@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.05, 0.3]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_to_the_last_bit(seed, failing):
    record = recorded(seed, failing)
    found = explain(record)
    assert (found["same"], found["differences"]) == (True, [])
    assert found["looks"]["judged"] == record.rollout.looks
    assert sum(chapter["looks"] for chapter in found["chapters"]) == record.rollout.looks


def test_to_the_last_bit_where_counts_are_large(monkeypatch):
    monkeypatch.setattr(f"{__name__}.sight", crowd)
    found = explain(recorded(1, 0.01, looks=30))
    assert (found["same"], found["differences"]) == (True, [])


@pytest.fixture(scope="module")
def record() -> Record:
    made = recorded(11, 0.01)
    assert len(made.lines) > 30
    return made


@pytest.mark.parametrize("number", [0, 1, 9, 17, 28])
def test_but_not_with_one_more_failure(record, number):
    look = decode(record.lines[number])
    lines = dict(record.lines)
    counted = look.observation.candidate or ArmCounts(1)
    seen = replace(look.observation, candidate=replace(counted, failures=counted.failures + 1))
    lines[number] = encode(replace(look, observation=seen))
    found = explain(replace(record, lines=lines))
    assert found["same"] is False
    assert found["differences"][0]["look"] == number


def test_but_not_with_lines_that_changed_places(record):
    lines = {**record.lines, 8: record.lines[9], 9: record.lines[8]}
    found = explain(replace(record, lines=lines))
    assert "look 8: its line says that it is look 9" in [d["words"] for d in found["differences"]]


def test_but_not_with_other_evidence_on_the_way(record):
    index = max(i for i, t in enumerate(record.transitions) if t.look)
    look = json.loads(json.dumps(record.transitions[index].look))
    look["ground"]["evidence"]["whole"]["candidate"] += 1
    changed = replace(record.transitions[index], look=look)
    transitions = (*record.transitions[:index], changed, *record.transitions[index + 1 :])
    found = explain(replace(record, transitions=transitions))
    assert "the evidence before it" in found["differences"][0]["words"]
    assert "whole.candidate was" in found["differences"][0]["words"]


def test_but_not_with_another_verdict_of_a_transition(record):
    index = next(i for i, t in enumerate(record.transitions) if t.verdict)
    other = replace(record.transitions[index].verdict, requests=-1)
    changed = replace(record.transitions[index], verdict=other)
    transitions = (*record.transitions[:index], changed, *record.transitions[index + 1 :])
    found = explain(replace(record, transitions=transitions))
    assert "requests was -1, now it is" in found["differences"][0]["words"]


def test_and_says_if_only_the_words_are_others(record):
    index = next(i for i, t in enumerate(record.transitions) if t.verdict)
    other = replace(record.transitions[index].verdict, reasons=("because",))
    changed = replace(record.transitions[index], verdict=other)
    transitions = (*record.transitions[:index], changed, *record.transitions[index + 1 :])
    found = explain(replace(record, transitions=transitions))
    assert found["same"] is False
    assert found["verdict"].endswith("the same decisions and figures in other words")


def test_from_the_next_stored_evidence_on_where_looks_are_missing(record):
    lines = {number: line for number, line in record.lines.items() if not 2 <= number < 5}
    found = explain(replace(record, lines=lines))
    assert [d["words"] for d in found["differences"]] == ["looks 2 to 4 are missing from the records"]
    assert 2 < found["looks"]["judged"] < record.rollout.looks - 2
