"""Recorded looks under the rules of then give the verdicts of then; other rules give others."""

import pytest

from modelserve.control.recording import look_at, written
from modelserve.decision import opinion, stage
from modelserve.domain.rollouts import Decision, Observation, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import start
from modelserve.rehearsal.recordings import read_looks
from modelserve.rehearsal.regressions import parse_regression
from modelserve.rehearsal.replay import replay_looks
from modelserve.rehearsal.scene import Scene, Stage
from modelserve.rollout import advance, begin, candidate_weight


def policy(margin="0.5%", alpha="1%"):
    rails = [{"metric": "error_rate", "maxIncrease": margin}]
    return RolloutSpec.model_validate(
        {
            "shadow": {"minPairs": 50},
            "canary": {"steps": ["20%", "50%", "100%"], "minStep": "5s"},
            "judge": {"guardrails": rails, "falseRollback": alpha},
        }
    )


def record(regression):
    """What the controller would write of a rollout under ``policy()``, up to its end."""
    spec, evidence, now, lines = policy(), start(policy()), 1_000_000.0, []
    scene = Stage(Scene(200, 0.001, parse_regression(regression)), spec, 3)
    rollout = begin(id="r", service="m", stable="m-00001", candidate="m-00002", now=now)
    ready = Observation(0.0, candidate_ready=True)
    rollout, _ = advance(spec, rollout, ready, Verdict(Decision.CONTINUE, ()), now)
    while not rollout.phase.done and rollout.phase != "probation" and now < 1_000_900:
        seen, before = scene.tick(now - 1_000_000, candidate_weight(spec, rollout)), rollout
        now += 1
        evidence, verdict = opinion(spec, rollout, evidence, seen, now)
        look = look_at(before, stage(spec, before, now), seen, verdict, now)
        rollout, transition = advance(spec, rollout, seen, verdict, now)
        rollout, _, line = written(look, before, rollout, transition, {})
        lines.append(line)
    return "\n".join(lines), rollout.phase


@pytest.mark.parametrize(
    ("regression", "phase", "end"),
    [("none", "probation", "promoted"), ("errors 20%", "rolled back", "rolled back")],
)
def test_the_rules_of_then_give_the_verdicts_of_then(regression, phase, end):
    text, ended = record(regression)
    found = replay_looks(policy(), read_looks(text, "recording"))
    assert (ended, found.end) == (phase, end)
    assert [m.verdict.decision for m in found.moments] == [m.recorded for m in found.moments]
    assert found.looks == len(text.splitlines())


def test_other_rules_may_end_otherwise():
    text, _ = record("none")
    strict = replay_looks(policy(margin="0.0001%"), read_looks(text, "recording"))
    assert strict.end == "undecided"
    assert "more candidate requests" in strict.last.verdict.reasons[0]
    text, _ = record("errors 20%")
    sure = replay_looks(policy(alpha="0.000001%"), read_looks(text, "recording"))
    assert sure.end != "rolled back"
