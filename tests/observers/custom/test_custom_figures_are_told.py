"""Custom figures are told as outcomes: the rise of both arms' counters, and nothing that was not seen."""

from __future__ import annotations

import pytest

from modelserve.domain.guardrails import DEFAULT_GUARDRAILS, Guardrail
from modelserve.domain.rollouts import Outcome, Trials
from modelserve.observers.base import Sighting, Subject
from modelserve.observers.custom.base import Count
from modelserve.observers.custom.figures import Impossible, Reset, trials
from modelserve.observers.custom.observer import CustomObserver

RATE = {"name": "refunds", "kind": "rate", "maxIncrease": "1%"}


def rate(site, **changes):
    return {**RATE, "source": {"http": f"{site.url}/{{arm}}/{{revision}}"}, **changes}


def counted(site, stable, candidate):
    site.answers["/stable/ner-00001"] = {"total": stable[0], "bad": stable[1]}
    site.answers["/candidate/ner-00002"] = {"total": candidate[0], "bad": candidate[1]}


async def test_by_their_rise(site, watch):
    counted(site, (100, 10), (50, 9))
    seen = watch(rate(site))
    await seen.begun()
    counted(site, (160, 12), (60, 13))
    sighting = await seen.until(lambda s: s.outcomes, "the rise is told")
    assert sighting.outcomes == {"refunds": Outcome(Trials(60, 2), Trials(10, 4))}
    assert sighting.notes == ()


async def test_once(site, watch):
    counted(site, (100, 10), (50, 9))
    seen = watch(rate(site))
    await seen.begun()
    counted(site, (160, 12), (60, 13))
    told = []
    for _ in range(3):
        sighting = await seen.until(lambda s: s.outcomes, "a look is told")
        told.append(sighting.outcomes["refunds"].stable)
    assert told == [Trials(60, 2), Trials(0, 0), Trials(0, 0)]


async def test_without_what_came_before_the_cursor(site, watch):
    """The controller drops the cursor when the weight changes."""
    counted(site, (100, 10), (50, 9))
    seen = watch(rate(site))
    await seen.begun()
    counted(site, (500, 400), (500, 400))
    seen.cursor = {}
    await seen.begun()
    counted(site, (501, 400), (502, 401))
    sighting = await seen.until(lambda s: s.outcomes, "the rise is told")
    assert sighting.outcomes["refunds"] == Outcome(Trials(1, 0), Trials(2, 1))


async def test_across_a_restart_of_the_controller(site, watch):
    counted(site, (100, 10), (50, 9))
    seen = watch(rate(site))
    await seen.begun()
    counted(site, (110, 10), (60, 10))
    later = watch(rate(site))
    later.cursor = seen.cursor
    sighting = await later.until(lambda s: s.outcomes, "what happened meanwhile is told")
    assert sighting.outcomes["refunds"] == Outcome(Trials(10, 0), Trials(10, 1))


async def test_but_a_counter_that_fell_is_neither_success_nor_failure(site, watch):
    counted(site, (100, 10), (50, 9))
    seen = watch(rate(site))
    await seen.begun()
    counted(site, (110, 11), (20, 1))
    sighting = await seen.until(lambda s: s.notes, "the reset is noted")
    assert sighting.outcomes == {}
    assert sighting.notes == (f"refunds: the counters of {site.url}/{{arm}}/{{revision}} began anew",)
    counted(site, (120, 11), (23, 2))
    sighting = await seen.until(lambda s: s.outcomes, "counting goes on")
    assert sighting.outcomes["refunds"] == Outcome(Trials(10, 0), Trials(3, 1))


async def test_but_a_source_that_misses_one_arm_moves_neither(site, watch):
    counted(site, (100, 10), (50, 9))
    seen = watch(rate(site))
    await seen.begun()
    counted(site, (150, 10), (60, 10))
    del site.answers["/candidate/ner-00002"]
    sighting = await seen.until(lambda s: s.notes, "the gap is noted")
    assert sighting.outcomes == {"refunds": Outcome()}
    assert sighting.notes[0].endswith("answered 404")
    assert (await seen.look()).outcomes == {"refunds": Outcome()}, "it goes on having no data"
    counted(site, (200, 12), (70, 10))
    sighting = await seen.until(lambda s: s.outcomes.get("refunds") != Outcome(), "the gap is covered")
    assert sighting.outcomes["refunds"] == Outcome(Trials(100, 2), Trials(20, 1))


async def test_but_never_waited_for(site, watch):
    site.open.clear()
    seen = watch(rate(site))
    for _ in range(50):
        sighting = await seen.look()
    assert (sighting.outcomes, sighting.notes) == ({}, ())
    assert len(site.asked) <= 2, "one look at a time"


async def test_a_source_that_is_too_slow_has_no_data(site, watch, monkeypatch):
    monkeypatch.setattr("modelserve.observers.custom.http_json.HttpSource.patience", 0.05)
    site.open.clear()
    seen = watch(rate(site))
    sighting = await seen.until(lambda s: s.notes, "patience ends")
    assert sighting.outcomes == {"refunds": Outcome()}
    assert "in time" in sighting.notes[0] or "within 0.05 s" in sighting.notes[0]


async def test_a_plain_limit_has_the_candidates_value_once_a_look(site, watch):
    site.answers["/candidate/ner-00002"] = {"gpu": {"share": 0.7}}
    source = {"http": f"{site.url}/{{arm}}/{{revision}}", "total": "gpu.share"}
    seen = watch({"name": "gpu", "kind": "limit", "limit": 0.9, "source": source})
    sighting = await seen.until(lambda s: s.values, "the value is told")
    assert sighting.values == {"gpu": 0.7}
    site.answers["/candidate/ner-00002"] = {"gpu": {}}
    sighting = await seen.until(lambda s: s.values.get("gpu") != 0.7 and s.values, "there is none")
    assert sighting.values == {"gpu": None}
    assert sighting.notes[0].endswith("has nothing at gpu.share")


async def test_of_a_copy_by_the_arm_of_copies(site, watch):
    seen = watch(rate(site), shadowing=True)
    await seen.until(lambda s: s.notes, "it was asked")
    assert "/shadow/ner-00002" in site.asked


async def test_of_a_source_that_nobody_asks_for_any_more_is_let_go(site, watch, monkeypatch):
    monkeypatch.setattr("modelserve.observers.custom.observer.FORGOTTEN", -1.0)
    seen = watch(rate(site))
    await seen.look()
    assert seen.observer._looks == {}


def rail(**told):
    return Guardrail.model_validate({"metric": "custom", "name": "x", "source": {"http": "http://h"}, **told})


MEAN = {"kind": "mean", "low": -10, "high": 10}


@pytest.mark.parametrize(
    ("told", "added", "expected"),
    [
        ({"kind": "rate", "maxIncrease": "1%"}, (10, 3), Trials(10, 3)),
        ({"kind": "quantile", "maxIncrease": "1%"}, (10, 3), Trials(10, 3)),
        ({"kind": "rate", "maxDecrease": "1%"}, (10, 3), Trials(10, 7)),
        ({**MEAN, "maxIncrease": "1%"}, (4, 20), Trials(4, 3)),
        ({**MEAN, "maxIncrease": "1%"}, (4, -40), Trials(4, 0)),
        ({**MEAN, "maxDecrease": "1%"}, (4, 20), Trials(4, 1)),
    ],
)
def test_on_a_scale_of_0_to_1(told, added, expected):
    before = Count(100, 50)
    assert trials(rail(**told), before, Count(100 + added[0], 50 + added[1])) == expected


@pytest.mark.parametrize(
    ("told", "added", "said"),
    [
        ({"kind": "rate", "maxIncrease": "1%"}, (10, 11), "counted 11 bad ones of 10"),
        (
            {**MEAN, "maxIncrease": "1%"},
            (4, 80),
            "a mean of 20, which does not lie between low and high, -10",
        ),
        ({**MEAN, "maxIncrease": "1%"}, (0, 5), "rose by 5 with nothing new"),
    ],
)
def test_but_not_what_cannot_be(told, added, said):
    with pytest.raises(Impossible, match=said):
        trials(rail(**told), Count(100, 50), Count(100 + added[0], 50 + added[1]))


@pytest.mark.parametrize("now", [Count(99, 50), Count(110, 49)])
def test_but_not_across_a_reset(now):
    with pytest.raises(Reset):
        trials(rail(kind="rate", maxIncrease="1%"), Count(100, 50), now)


async def test_only_where_a_guardrail_has_a_source():
    async with CustomObserver() as observer:
        subject = Subject("m", "m-1", "m-2", (), guardrails=DEFAULT_GUARDRAILS)
        assert await observer.read(subject, {}) == (Sighting(), {})
