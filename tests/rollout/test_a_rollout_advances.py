"""A rollout advances: by verdicts, by time where time is asked for, and by what people tell it."""

from dataclasses import replace

import pytest

from modelserve.domain.rollouts import Command, Decision, Observation, Phase, Rollout, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.errors import Conflict
from modelserve.rollout import advance, begin, candidate_weight, command, next_weight, supersede
from modelserve.rollout.advance import HOLD_PATIENCE

SPEC = RolloutSpec.model_validate(
    {"canary": {"steps": ["10%", "50%", "100%"]}, "probation": "60s", "loadingTimeout": "30s"}
)
NO_SHADOW = SPEC.model_copy(update={"shadow": None})
SEEN = Observation(seconds=1.0, candidate_ready=True)


def verdict(decision: Decision) -> Verdict:
    return Verdict(decision, (f"because of {decision}",))


def started(**changes: object) -> Rollout:
    fresh = begin(id="r1", service="s", stable="s-00001", candidate="s-00002", now=100.0)
    return replace(fresh, **changes)


def step(rollout: Rollout, decision: Decision, now: float = 110.0, spec: RolloutSpec = SPEC) -> Rollout:
    after, transition = advance(spec, rollout, SEEN, verdict(decision), now)
    assert (transition is not None) == ((after.phase, after.step) != (rollout.phase, rollout.step))
    return after


def test_it_passes_through_every_phase_when_all_is_well():
    journey = [started()]
    for _ in range(4):
        journey.append(step(journey[-1], Decision.PROMOTE))
    assert [(r.phase, candidate_weight(SPEC, r)) for r in journey] == [
        (Phase.LOADING, 0.0),
        (Phase.SHADOW, 0.0),
        (Phase.CANARY, 0.1),
        (Phase.CANARY, 0.5),
        (Phase.PROBATION, 1.0),
    ]
    assert step(journey[-1], Decision.CONTINUE, now=169.9).phase is Phase.PROBATION
    assert step(journey[-1], Decision.CONTINUE, now=170.1).phase is Phase.STABLE


def test_without_a_shadow_stage_it_goes_from_loading_to_the_first_weight():
    after = step(started(), Decision.CONTINUE, spec=NO_SHADOW)
    assert (after.phase, after.step) == (Phase.CANARY, 0)


def test_a_single_step_of_everything_is_a_promotion():
    spec = RolloutSpec.model_validate({"canary": {"steps": ["100%"]}, "shadow": None})
    assert step(started(), Decision.CONTINUE, spec=spec).phase is Phase.PROBATION


def test_a_first_revision_becomes_stable_as_soon_as_it_is_ready():
    first = begin(id="r1", service="s", stable="", candidate="s-00001", now=100.0)
    assert step(first, Decision.CONTINUE).phase is Phase.STABLE


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CANARY, Phase.HELD, Phase.PROBATION])
def test_harm_rolls_back_from_everywhere(phase):
    rollout = started(phase=phase, step=0, resume_phase=Phase.CANARY if phase is Phase.HELD else None)
    after, transition = advance(SPEC, rollout, SEEN, verdict(Decision.ROLL_BACK), 110.0)
    assert after.phase is Phase.ROLLED_BACK
    assert candidate_weight(SPEC, after) == 0.0
    assert transition is not None
    assert transition.verdict == verdict(Decision.ROLL_BACK)
    assert transition.reason == "because of roll back"


def test_harm_rolls_back_even_while_a_person_has_paused_it():
    paused, _ = command(SPEC, started(phase=Phase.CANARY, step=1), Command.PAUSE, 105.0)
    assert step(paused, Decision.ROLL_BACK).phase is Phase.ROLLED_BACK


def test_a_hard_failure_needs_no_statistics():
    seen = replace(SEEN, hard_failure="s-00002 can't run: exit code 3")
    after, transition = advance(SPEC, started(), seen, verdict(Decision.CONTINUE), 101.0)
    assert after.phase is Phase.ROLLED_BACK
    assert transition is not None
    assert "exit code 3" in transition.reason


def test_a_candidate_that_never_gets_ready_is_rolled_back_when_its_time_is_over():
    unready = replace(SEEN, candidate_ready=False)
    waiting, none = advance(SPEC, started(), unready, verdict(Decision.CONTINUE), 129.0)
    assert (waiting.phase, none) == (Phase.LOADING, None)
    over, _ = advance(SPEC, started(), unready, verdict(Decision.CONTINUE), 131.0)
    assert over.phase is Phase.ROLLED_BACK
    assert "not ready within 30s" in over.reason


def test_it_is_held_only_when_the_judge_says_hold_for_a_while():
    first = step(started(phase=Phase.CANARY, step=0), Decision.HOLD, now=110.0)
    assert first.phase is Phase.CANARY
    held = step(first, Decision.HOLD, now=110.0 + HOLD_PATIENCE)
    assert held.phase is Phase.HELD
    assert candidate_weight(SPEC, held) == 0.1
    assert step(held, Decision.CONTINUE, now=140.0).phase is Phase.CANARY


def test_a_hold_with_a_cause_counts_at_once():
    split = Verdict(Decision.HOLD, ("traffic is not split as told",), metric="split")
    after, _ = advance(SPEC, started(phase=Phase.CANARY, step=0), SEEN, split, 110.0)
    assert (after.phase, after.resume_phase) == (Phase.HELD, Phase.CANARY)


def test_a_single_hold_among_others_is_forgotten():
    first = step(started(phase=Phase.CANARY, step=0), Decision.HOLD, now=110.0)
    forgiven = step(first, Decision.CONTINUE, now=112.0)
    assert step(forgiven, Decision.HOLD, now=121.0).phase is Phase.CANARY


def test_probation_ends_by_time_even_without_traffic():
    probation = started(phase=Phase.PROBATION, step=2)
    assert step(probation, Decision.HOLD, now=161.0).phase is Phase.STABLE


def test_a_move_drops_the_cursor_so_that_counts_from_before_it_are_not_charged_to_what_follows():
    rollout = started(phase=Phase.CANARY, step=0, cursor={"envoy": {"n": 1}})
    assert step(rollout, Decision.PROMOTE).cursor == {}
    assert step(rollout, Decision.CONTINUE).cursor == {"envoy": {"n": 1}}


def test_pause_keeps_the_weight_and_only_a_person_ends_it():
    paused, _ = command(SPEC, started(phase=Phase.CANARY, step=1), Command.PAUSE, 105.0)
    assert (paused.phase, candidate_weight(SPEC, paused)) == (Phase.HELD, 0.5)
    assert step(paused, Decision.PROMOTE).phase is Phase.HELD
    resumed, _ = command(SPEC, paused, Command.RESUME, 120.0)
    assert (resumed.phase, resumed.step, resumed.paused) == (Phase.CANARY, 1, False)


def test_time_stands_still_while_it_is_paused():
    rollout = started(phase=Phase.CANARY, step=1)
    for pause, resume in ((105.0, 1105.0), (1115.0, 9115.0)):
        rollout, _ = command(SPEC, rollout, Command.PAUSE, pause)
        assert rollout.elapsed(pause) == rollout.elapsed(resume)
        rollout, _ = command(SPEC, rollout, Command.RESUME, resume)
    assert rollout.elapsed(9120.0) == 20.0


def test_time_goes_on_while_the_judge_holds_it():
    held = started(phase=Phase.HELD, resume_phase=Phase.CANARY, step=1, entered=110.0)
    resumed, _ = command(SPEC, held, Command.RESUME, 150.0)
    assert (held.elapsed(150.0), resumed.elapsed(160.0)) == (50.0, 60.0)


def test_promote_by_hand_gives_everything_and_starts_probation():
    after, transition = command(SPEC, started(phase=Phase.CANARY, step=0), Command.PROMOTE, 105.0)
    assert (after.phase, candidate_weight(SPEC, after)) == (Phase.PROBATION, 1.0)
    assert transition is not None
    assert transition.weight == 1.0


@pytest.mark.parametrize(
    ("rollout", "what", "words"),
    [
        (started(phase=Phase.STABLE), Command.ABORT, "is over"),
        (
            started(phase=Phase.ROLLED_BACK, reason="too slow"),
            Command.RESUME,
            r"is over \(rolled back: too slow\)",
        ),
        (started(phase=Phase.CANARY, step=0), Command.RESUME, "not held"),
        (started(), Command.PROMOTE, "still loading"),
        (started(phase=Phase.HELD, paused=True), Command.PAUSE, "paused already"),
    ],
)
def test_a_command_that_makes_no_sense_says_why(rollout, what, words):
    with pytest.raises(Conflict, match=words):
        command(SPEC, rollout, what, 110.0)


def test_a_successor_ends_it_and_a_promoted_one_stays():
    undecided, _ = supersede(SPEC, started(phase=Phase.CANARY, step=1), "s-00003", 120.0)
    assert (undecided.phase, candidate_weight(SPEC, undecided)) == (Phase.SUPERSEDED, 0.0)
    promoted, _ = supersede(SPEC, started(phase=Phase.PROBATION, step=2), "s-00003", 120.0)
    assert promoted.phase is Phase.STABLE


def test_nothing_moves_a_finished_rollout():
    for phase in (Phase.STABLE, Phase.ROLLED_BACK, Phase.SUPERSEDED):
        done = started(phase=phase, step=0)
        assert advance(SPEC, done, SEEN, verdict(Decision.ROLL_BACK), 999.0) == (done, None)


def test_the_next_weight_is_the_one_a_promotion_would_give():
    weights = [next_weight(SPEC, started(phase=Phase.CANARY, step=step), 110.0) for step in (-1, 0, 1, 2)]
    assert weights == [0.1, 0.5, 1.0, 1.0]


MEASURED = RolloutSpec.model_validate({"shadow": None})


@pytest.mark.parametrize(
    ("rate", "weight"), [(0, 0.2), (5, 0.2), (20, 0.1), (39, 0.1), (100, 0.05), (200, 0.01), (5000, 0.01)]
)
def test_without_steps_the_first_weight_gives_two_requests_per_second_but_never_more_than_a_fifth(
    rate, weight
):
    loading = started(totals={"stable_requests": 10 * rate})
    after = step(loading, Decision.CONTINUE, now=110.0, spec=MEASURED)
    assert (after.phase, candidate_weight(MEASURED, after)) == (Phase.CANARY, weight)


def test_without_steps_it_waits_until_the_traffic_was_watched_for_a_while():
    loading = started(totals={"stable_requests": 400})
    assert step(loading, Decision.CONTINUE, now=104.0, spec=MEASURED).phase is Phase.LOADING
    assert step(loading, Decision.CONTINUE, now=105.0, spec=MEASURED).phase is Phase.CANARY


def test_without_steps_it_ends_with_a_bake():
    rollout, weights = started(totals={"stable_requests": 10_000}), []
    while rollout.phase is not Phase.PROBATION:
        rollout = step(rollout, Decision.PROMOTE, spec=MEASURED)
        weights.append(candidate_weight(MEASURED, rollout))
    assert weights == [0.01, 0.05, 0.1, 0.2, 0.5, 0.9, 1.0]


def test_a_traffic_that_is_measured_in_the_shadow_counts_too():
    spec = MEASURED.model_copy(update={"shadow": SPEC.shadow})
    shadow = started(phase=Phase.SHADOW, totals={"stable_requests": 3000})
    assert candidate_weight(spec, step(shadow, Decision.PROMOTE, now=110.0, spec=spec)) == 0.01


@pytest.mark.parametrize("rate", [0, 5, 20, 100, 200, 5000])
def test_from_the_shadow_the_next_weight_is_the_one_that_its_traffic_leads_to(rate):
    spec = MEASURED.model_copy(update={"shadow": SPEC.shadow})
    shadow = started(phase=Phase.SHADOW, totals={"stable_requests": 10 * rate})
    after, transition = advance(spec, shadow, SEEN, verdict(Decision.PROMOTE), 110.0)
    assert next_weight(spec, shadow, 110.0) == candidate_weight(spec, after)
    assert transition is not None
    assert transition.reason.startswith(f"evidence suffices for {candidate_weight(spec, after):.0%};")
