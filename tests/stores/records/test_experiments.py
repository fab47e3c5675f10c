"""Experiments in the records store: the same on every database."""

import pytest

from modelserve.domain.experiments import ExperimentPhase, ExperimentState
from modelserve.domain.participants import Census, Exposure, Outcome
from modelserve.errors import NotFound


def state(name="tone", service="ner", **more):
    return ExperimentState(
        **{
            "name": name,
            "service": service,
            "document": {"kind": "Experiment"},
            "revisions": {"a": "ner-00001", "b": "ner-00002"},
            "phase": ExperimentPhase.RUNNING,
            "applied": 1.5,
            "layout": (("a", 5000), ("b", 5000)),
            "started": 2.5,
        }
        | more
    )


@pytest.fixture
def tone(records):
    records.save_experiment(state())
    return records


def met(key, arm="a", at=10.0, weights="a=5000,b=5000"):
    return Exposure(key, arm, at, f"request-{key}-{at}", weights)


def test_their_state_comes_back_exactly(records):
    for name in ("tone", "speed"):
        records.save_experiment(state(name))
    over = state(phase=ExperimentPhase.OVER, ended=3.5)
    records.save_experiment(over)
    assert records.experiments() == (state("speed"), over)


def test_one_of_an_unknown_service_is_refused(records):
    with pytest.raises(NotFound, match="no service 'gone'"):
        records.save_experiment(state(service="gone"))


def test_the_first_exposure_of_each_participant_stays(tone):
    tone.add_exposures("tone", [met("x"), met("y", "b"), met("z", at=11.0)])
    tone.add_exposures("tone", [met("x", at=12.0), met("y", "a", 12.0, "a=10000")])
    assert tone.exposures("tone", keys=["x"], requests=["request-y-10.0", "no"]) == (met("x"), met("y", "b"))
    assert tone.census("tone") == Census((("a=5000,b=5000", "a", 2), ("a=5000,b=5000", "b", 1)), 1)


def test_outcomes_are_kept_once(tone):
    tone.add_exposures("tone", [met("x"), met("y", "b")])
    first = [Outcome("x", "ok", 1.0, 20.0), Outcome("y", "ok", 0.0, 20.0), Outcome("x", "ok", 0.0, 20.0)]
    assert tone.add_outcomes("tone", first) == (None, None, 1.0)
    assert tone.add_outcomes("tone", [Outcome("y", "ok", 0.0, 21.0), Outcome("y", "len", 3.5, 21.0)]) == (
        0.0,
        None,
    )
    told = tone.outcomes("tone", "ok", 0, 10)
    assert [(arm, value) for _, arm, value in told] == [("a", 1.0), ("b", 0.0)]
    assert tone.outcomes("tone", "ok", told[0][0], 10) == told[1:]
    assert tone.outcomes("tone", "ok", 0, 1) == told[:1]


def test_exposures_mature_in_their_order(tone):
    tone.add_exposures("tone", [met("x", at=12.0), met("y", "b", 11.0), met("w", at=11.0), met("z", at=13.0)])
    tone.add_outcomes("tone", [Outcome("y", "ok", 1.0, 20.0), Outcome("x", "other", 1.0, 20.0)])
    found = tone.matured("tone", "ok", (0.0, ""), 12.0, 10)
    assert found == (((11.0, "w"), "a", None), ((11.0, "y"), "b", 1.0), ((12.0, "x"), "a", None))
    assert tone.matured("tone", "ok", (11.0, "w"), 12.0, 1) == found[1:2]


def test_all_of_it_leaves_with_its_service(tone):
    tone.add_exposures("tone", [met("x")])
    tone.add_outcomes("tone", [Outcome("x", "ok", 1.0, 20.0)])
    tone.delete_service("ner")
    assert tone.experiments() == ()
    assert tone.census("tone") == Census()


def test_one_leaves_alone_and_lets_nothing_late_in(tone):
    tone.save_experiment(state("speed"))
    for name in ("tone", "speed"):
        tone.add_exposures(name, [met("x")])
        tone.add_outcomes(name, [Outcome("x", "ok", 1.0, 20.0)])
    tone.delete_experiment("tone")
    tone.delete_experiment("tone")
    assert tone.experiments() == (state("speed"),)
    assert (tone.exposures("tone", keys=["x"]), tone.outcomes("tone", "ok", 0, 9)) == ((), ())
    assert tone.census("speed").counts
    assert len(tone.outcomes("speed", "ok", 0, 9)) == 1
    for late in (tone.add_exposures, tone.add_outcomes):
        with pytest.raises(NotFound, match="no experiment 'tone'"):
            late("tone", [met("y")])
