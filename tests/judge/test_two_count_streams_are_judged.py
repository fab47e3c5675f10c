"""``from modelserve import Judge``: the promises on two count streams, whoever splits the traffic."""

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserve import Judge
from modelserve.domain.rollouts import Decision
from modelserve.errors import InvalidInput

COUNTS = st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def test_a_worse_candidate_is_rolled_back_and_the_reason_has_the_figures():
    verdict = Judge().update(stable=(900, 1), candidate=(100, 30))
    assert verdict.decision == "roll back"
    assert "30 of 100" in verdict.reasons[0]
    assert verdict.metric == "error_rate"


def test_a_good_candidate_is_promoted_and_told_how_many_requests_are_needed_before():
    judge = Judge(max_increase="1%")
    first = judge.update(stable=(100, 0), candidate=(100, 0))
    assert first.decision == "continue"
    assert "more candidate requests" in first.reasons[0]
    while judge.verdict.decision == "continue":
        judge.update(stable=(100, 0), candidate=(100, 0))
    assert judge.verdict.decision == "promote"
    assert judge.verdict.requests < 1000


def test_it_may_take_as_long_as_it_takes():
    judge = Judge(max_increase="1%")
    for _ in range(7):
        assert judge.update((10, 0), (10, 0), seconds=86400).decision == "continue"
    assert judge.update((10**6, 10), (10**6, 10)).decision == "promote"


def test_a_small_step_needs_fewer_requests_than_everything():
    def requests(steps):
        judge = Judge(steps=steps)
        while judge.update(stable=(95, 0), candidate=(5, 0), weight=0.05).decision != "promote":
            pass
        return judge.verdict.requests

    assert requests(["5%", "25%", "100%"]) < requests(["5%", "100%"]) / 2


def test_where_there_are_steps_the_weight_has_to_be_told():
    with pytest.raises(InvalidInput, match=r"weight: got none.*5%, 50%, 100%"):
        Judge(steps=["5%", "50%", "100%"]).update((100, 0), (5, 0))


def test_an_arm_that_was_not_seen_is_neither_success_nor_failure():
    judge = Judge()
    assert judge.update(stable=(100, 0)).decision == "hold"
    assert judge.update().decision == "hold"
    assert judge.update(stable=(100, 0), candidate=(100, 0)).decision == "continue"


def test_a_hard_failure_rolls_back_without_a_count():
    verdict = Judge().update(hard_failure="crash loop")
    assert (verdict.decision, verdict.reasons) == ("roll back", ("crash loop",))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(COUNTS, COUNTS, st.floats(0, 100)), max_size=6))
def test_evidence_that_goes_through_a_token_gives_the_same_verdicts_to_the_last_bit(looks):
    kept, token = Judge(), ""
    for stable, candidate, seconds in looks:
        fresh = Judge(evidence=token)
        verdicts = [j.update(stable, candidate, seconds=seconds) for j in (kept, fresh)]
        assert verdicts[0] == verdicts[1]
        token = fresh.evidence
        assert len(token) < 4000


def test_a_healthy_candidate_is_rarely_rolled_back_however_often_one_asks():
    def rolled_back(seed):
        chance, judge = random.Random(seed), Judge()
        for _ in range(150):
            stable, candidate = (sum(chance.random() < 0.02 for _ in range(20)) for _ in range(2))
            if judge.update((20, stable), (20, candidate)).decision is Decision.ROLL_BACK:
                return True
        return False

    assert sum(map(rolled_back, range(60))) <= 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stable": (1, 2)}, ["stable.bad", "2", "more than"]),
        ({"candidate": (-1, 0)}, ["candidate.n", "-1"]),
        ({"candidate": (1.5, 0)}, ["candidate.n", "1.5", "whole"]),
        ({"candidate": (True, 0)}, ["candidate.n"]),
        ({"candidate": 5}, ["candidate", "(requests, bad ones)"]),
        ({"candidate": (2**60, 0)}, ["candidate.n", "2^53"]),
        ({"seconds": float("nan")}, ["seconds", "nan"]),
        ({"seconds": -1}, ["seconds", "-1"]),
        ({"weight": 0}, ["weight", "0"]),
        ({"weight": 1.5}, ["weight", "1.5"]),
    ],
)
def test_counts_that_can_not_be_are_told_by_field_and_value(given, words):
    with pytest.raises(InvalidInput) as refused:
        Judge().update(**given)
    assert [word for word in words if word not in refused.value.message] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_increase": 0.01}, ["settings.max_increase", "0.01", "0.5%"]),
        ({"false_rollback": "60%"}, ["settings.false_rollback", "60%"]),
        ({"steps": ["50%", "5%", "100%"]}, ["settings.steps", "climb"]),
        ({"steps": ["50%"]}, ["settings.steps", "100%"]),
        ({"margin": "1%"}, ["settings.margin", "maxIncrease"]),
        ({"evidence": "abc"}, ["evidence", "whole text"]),
    ],
)
def test_settings_that_can_not_be_are_told_by_field_and_value(given, words):
    with pytest.raises(InvalidInput) as refused:
        Judge(**given)
    assert [word for word in words if word not in refused.value.message] == []


def test_evidence_of_other_settings_is_refused():
    token = Judge(max_increase="1%").evidence
    with pytest.raises(InvalidInput, match="other settings"):
        Judge(max_increase="2%", evidence=token)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_token_is_refused(data):
    token = Judge().evidence
    place = data.draw(st.integers(0, len(token) - 1))
    damaged = token[:place] + data.draw(st.text(max_size=3)) + token[place + data.draw(st.integers(1, 9)) :]
    if damaged != token:
        with pytest.raises(InvalidInput, match="evidence"):
            Judge(evidence=damaged)


def test_importing_it_brings_no_server_and_no_client():
    code = "from modelserve import Judge; import sys; print([m for m in sys.modules if m in %r])"
    heavy = ("fastapi", "uvicorn", "httpx", "httpcore", "sqlalchemy", "rich", "onnxruntime", "yaml")
    done = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
