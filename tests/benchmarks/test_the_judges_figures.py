"""What ``make bench-judge`` prints: exact limits, the rules of other tools, and the same streams for all."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import beta, mannwhitneyu

from benchmarks.judge.bounds import lower, upper
from benchmarks.judge.cases import cases
from benchmarks.judge.goals import mostly, rarely
from benchmarks.judge.others import Argo, Flagger, Kayenta, drive, shift_interval
from modelserve.domain.rollouts import ArmCounts
from modelserve.rehearsal.drive import Outcome
from modelserve.rehearsal.world import World, constant

GOOD, BAD, NONE = ArmCounts(1000, 5), ArmCounts(1000, 15), ArmCounts()


@pytest.mark.parametrize(("bad", "runs"), [(0, 100), (3, 2000), (20, 2000), (99, 100), (100, 100)])
def test_limits_are_clopper_and_pearsons(bad, runs):
    assert upper(bad, runs) == pytest.approx(beta.ppf(0.95, bad + 1, runs - bad) if bad < runs else 1.0)
    assert lower(bad, runs) == pytest.approx(beta.ppf(0.05, bad, runs - bad + 1) if bad else 0.0, abs=1e-9)


def _ended(rolled_back: int, runs: int) -> list[Outcome]:
    ends = ["rolled back"] * rolled_back + ["promoted"] * (runs - rolled_back)
    return [Outcome(end, 1, 1, 1, 0, None, "") for end in ends]


@pytest.mark.parametrize(
    ("bad", "runs", "status"),
    [(8, 2000, "met"), (0, 50, "met so far"), (10, 1000, "met so far"), (30, 2000, "short")],
)
def test_a_rare_share_is_met_when_its_limit_is(bad, runs, status):
    assert rarely(1, "rolled back", 0.01).on(_ended(bad, runs)).status == status


@pytest.mark.parametrize(("good", "status"), [(1000, "met"), (995, "met"), (980, "short")])
def test_a_common_share_is_met_when_its_limit_is(good, status):
    assert mostly(3, "rolled back", 0.99).on(_ended(good, 1000)).status == status


def test_every_case_has_a_name_of_its_own():
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    assert {goal.number for case in cases() for goal in case.goals} == set(range(1, 9))


def _minutes(policy, *candidates: ArmCounts) -> list[str]:
    return [policy.look(60.0 * minute, GOOD, seen) for minute, seen in enumerate(candidates, 1)]


@pytest.mark.parametrize("failing", [BAD, NONE])
def test_flagger_rolls_back_at_the_fifth_failed_check_and_no_data_fails(failing):
    flagger = Flagger()
    assert _minutes(flagger, GOOD, *[failing] * 5)[-2:] == ["", "rolled back"]
    assert flagger.weight == 0.2


def test_flagger_promotes_after_its_largest_weight():
    assert _minutes(Flagger(), *[GOOD] * 5) == ["", "", "", "", "promoted"]


def test_argo_aborts_at_the_first_failure_and_at_the_fifth_error():
    assert _minutes(Argo(), GOOD, BAD) == ["", "rolled back"]
    assert _minutes(Argo(), *[NONE] * 5)[-2:] == ["", "rolled back"]
    assert _minutes(Argo(), *[GOOD] * 25)[-1] == "promoted"


def test_kayenta_judges_every_ten_minutes_and_promotes_at_the_end():
    worse = [ArmCounts(1000, 30 + minute % 7) for minute in range(10)]
    assert _minutes(Kayenta(), *worse) == [""] * 9 + ["rolled back"]
    even = [ArmCounts(1000, 4 + minute % 3) for minute in range(60)]
    assert _minutes(Kayenta(), *even)[-1] == "promoted"


def test_the_shift_interval_excludes_zero_when_mann_whitney_does():
    rng, agreed = np.random.default_rng(3), 0
    for _ in range(60):
        a, b = rng.random(12), rng.random(12) + 0.25
        agreed += (shift_interval(list(a), list(b))[1] > 0) == (mannwhitneyu(b, a).pvalue < 0.02)
    assert agreed >= 57


def test_others_get_the_arrivals_that_the_judge_gets():
    world = World(50, constant(0.001), constant(0.001))
    one, two = (drive(policy(), world, 5, 120) for policy in (Flagger, Kayenta))
    assert one.candidate_requests == pytest.approx(two.candidate_requests, rel=0.6)
    assert one == drive(Flagger(), world, 5, 120)


def test_the_command_tells_its_figures_as_json():
    command = [
        sys.executable,
        "-m",
        "benchmarks.judge",
        "--only",
        "errors 0.1% to 50.0%, 100/s",
        "--runs",
        "4",
    ]
    done = subprocess.run(
        [*command, "--json", "--seed", "1", "--processes", "1"], capture_output=True, check=True
    )
    told = json.loads(done.stdout)
    assert {row["who"] for row in told["rows"]} == {"ModelServe", "Flagger", "Argo Rollouts", "Kayenta"}
    assert {goal["status"] for goal in told["goals"]} <= {"met", "met so far", "short"}
