"""What programs tell of participants: every item gets an answer, and the readout follows."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from httpx import ASGITransport, AsyncClient

from modelserve.control import experiments
from modelserve.control.app import create_app
from modelserve.control.exposures import Tail
from modelserve.control.outcomes import record
from modelserve.control.readouts import course, readout
from modelserve.domain.experiments import Experiment
from tests.control.exposed import begin, line

METRICS = [
    {"name": "ok"},
    {"name": "length", "kind": "mean", "bounds": [0, 10]},
    {"name": "bought", "window": "100s"},
]


@pytest.fixture
async def tone(serving, tmp_path):
    """A running experiment; ``log`` is what its exposures are read from."""
    log = tmp_path / "exposures.log"
    await begin(serving, log, METRICS)
    again = line("x", at=1101.0, request="r-x-1101")
    log.write_text(line("x", request="r-x-1100") + line("y", "b", request="r-y-1100") + again)
    return serving


async def told(controller, *items):
    return [(a.said.value, a.detail) for a in await record(controller.platform, "tone", items)]


def item(key="x", metric="ok", value=1, **more):
    return {"key": key, "metric": metric, "value": value} | more


async def test_each_item_is_answered(tone, monkeypatch):
    monkeypatch.setattr("modelserve.control.outcomes.PATIENCE", 0.0)
    answers = await told(tone, item(), item(), item(value=0), item("z"), item("y", "length", 3.5))
    assert [said for said, _ in answers] == ["accepted", "duplicate", "contradicting", "unknown", "accepted"]
    assert answers[2][1] == "1 was told before and stays"
    assert await told(tone, item(value=0)) == [answers[2]]


async def test_a_request_stands_for_its_participant(tone):
    by_request = {"metric": "ok", "value": 1}
    answers = await told(
        tone, {"request_id": "r-x-1101"} | by_request, {"request_id": "r-y-1100"} | by_request
    )
    assert [said for said, _ in answers] == ["accepted", "accepted"]
    tone.platform.exposures = Tail(tone.folder / "nothing.log")
    again = {"request_id": "r-x-1100", "metric": "length", "value": 1}
    assert (await told(tone, again))[0][0] == "accepted", "the first request is known after a restart too"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (7, "must be an object with key, request_id, metric, value"),
        (item(when=1), "unknown field 'when'"),
        ({"metric": "ok", "value": 1}, "give exactly one of key and request_id"),
        (item(request_id="r"), "give exactly one of key and request_id"),
        (item(key=5), "give exactly one of key and request_id"),
        (item(metric="oh"), "metric: got 'oh': tone has ok, length, bought"),
        (item(metric=["ok"]), "metric: got ['ok']"),
        (item(value=0.5), "value: got 0.5: must be 0 or 1"),
        (item("na\ud800ve"), "give exactly one of key and request_id"),
        ({"request_id": "a\0b", "metric": "ok", "value": 1}, "give exactly one of key and request_id"),
        (item(value=10**400), "must be 0 or 1"),
        (item(value="1"), "value: got '1': must be 0 or 1"),
        (item(value=float("nan")), "value: got nan: must be 0 or 1"),
        (item(metric="length", value=11), "value: got 11: must be a number from 0 to 10"),
    ],
)
async def test_what_is_wrong_with_an_item_is_told(tone, wrong, said):
    ((status, detail), (other, _)) = await told(tone, wrong, item())
    assert (status, other) == ("malformed", "accepted")
    assert said in detail


async def test_the_readout_follows_and_is_the_same_after_a_restart(tone):
    await told(tone, item(), item("y", value=0), item("y", "length", 4))
    found = await readout(tone.platform, "tone")
    assert found["exposures"] == {"a": 1, "b": 1}
    ok, length, bought = found["metrics"]
    assert [arm["value"]["estimate"] for arm in ok["arms"]] == [1.0, 0.0]
    assert ok["arms"][1]["difference"]["estimate"] == -1.0
    assert [arm["outcomes"] for arm in length["arms"]] == [0, 1]
    assert [arm["outcomes"] for arm in bought["arms"]] == [0, 0]
    assert (found["conclusion"], found["split"]["fair"]) == ("undecided", True)
    await tone.restart()
    assert await readout(tone.platform, "tone") == found


async def test_the_course_tells_every_reading_on_the_way_to_the_results(tone):
    with (tone.folder / "exposures.log").open("a") as log:
        log.writelines(line(f"{n}", "ab"[n % 2]) for n in range(100))
    for n in range(100):
        await told(tone, item(f"{n}", value=n % 3 > 0), item(f"{n}", "length", n % 7))
    found = await course(tone.platform, "tone", 40)
    tone.clock = 1220.0
    assert {metric["name"]: len(metric["points"]) for metric in found["metrics"]} == {
        "ok": 40, "length": 40, "bought": 0,
    }  # fmt: skip
    assert [point["outcomes"] for point in found["metrics"][0]["points"][:3]] == [3, 5, 8]
    bought = (await course(tone.platform, "tone", 1))["metrics"][2]["points"]
    assert [point["outcomes"] for point in bought] == [102]
    for metric, now in zip(
        found["metrics"][:2], (await readout(tone.platform, "tone"))["metrics"], strict=False
    ):
        last = metric["points"][-1]
        assert (last["arms"], last["conclusion"]) == (now["arms"], now["conclusion"])


@pytest.mark.parametrize("points", [1, 7, 1000])
async def test_a_course_has_at_most_the_points_that_were_asked_for(tone, points):
    await told(tone, item(), item("y", value=0))
    transport = ASGITransport(create_app(tone.platform))
    async with AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get(f"/api/v1/experiments/tone/course?points={points}")
    assert len(answer.json()["metrics"][0]["points"]) == min(points, 2)


async def test_a_window_ends_with_zeros_and_takes_nothing_more(tone):
    assert [said for said, _ in await told(tone, item(metric="bought"))] == ["accepted"]
    tone.clock = 1205.0
    assert [said for said, _ in await told(tone, item("y", "bought"))] == ["late"]
    assert await outcomes(tone) == [0, 0], "exposures may still be on their way"
    tone.clock = 1220.0
    assert await outcomes(tone) == [1, 1]
    bought = (await readout(tone.platform, "tone"))["metrics"][2]
    assert [arm["value"]["estimate"] for arm in bought["arms"]] == [1.0, 0.0]


async def outcomes(controller):
    found = await readout(controller.platform, "tone")
    return [arm["outcomes"] for arm in found["metrics"][2]["arms"]]


async def test_outcomes_are_taken_after_the_end(tone):
    await experiments.stop(tone.platform, "tone")
    assert [said for said, _ in await told(tone, item())] == ["accepted"]


async def test_a_split_that_is_not_as_told_takes_the_place_of_a_conclusion(tone):
    with (tone.folder / "exposures.log").open("a") as log:
        log.writelines(line(f"{n}", "a") for n in range(100))
    found = await readout(tone.platform, "tone")
    assert (found["conclusion"], found["winner"]) == ("the split is not as told", "")


@pytest.fixture
async def bandit(serving):
    """A running bandit, of which one arm is the better one."""
    arms = [{"name": name, "weight": "50%", "revision": "stable"} for name in "ab"]
    rules = {"bandit": {"every": "60s"}, "metrics": [{"name": "ok"}]}
    spec = {"service": "m", "key": {"header": "x"}, "arms": arms, **rules}
    serving.platform.exposures = Tail(serving.folder / "exposures.log")
    document = {"metadata": {"name": "tone"}, "spec": spec}
    await experiments.apply(serving.platform, Experiment.model_validate(document))
    await serving.ticks(2)
    log = serving.folder / "exposures.log"
    log.write_text("".join(line(f"{n}", "ab"[n % 2], serving.clock) for n in range(200)))
    await told(serving, *(item(f"{n}", value=n % 2) for n in range(200)))
    return serving


async def layout(controller):
    return (await experiments.get(controller.platform, "tone")).layout


async def test_a_bandit_changes_the_weights_and_few_arms(bandit):
    await bandit.ticks(62)
    assert await layout(bandit) == (("a", 500), ("b", 9500))
    (route,) = bandit.router.table.services
    assert [(run.arm, run.size) for run in route.split.slots] == [("a", 500), ("b", 9500)]


async def test_no_tick_waits_for_a_bandit_that_reads_all_outcomes_again(bandit, monkeypatch):
    go_on, records = threading.Event(), bandit.platform.book.records
    read = records.outcomes
    monkeypatch.setattr(records, "outcomes", lambda *given: go_on.wait(60) and read(*given))
    monkeypatch.setattr("modelserve.control.experiments.PATIENCE", 0.0)
    try:
        async with asyncio.timeout(30):
            await bandit.ticks(62)
        assert await layout(bandit) == (("a", 5000), ("b", 5000))
    finally:
        go_on.set()
    await asyncio.wait(bandit.platform.reading.values())
    await bandit.ticks(1)
    assert await layout(bandit) == (("a", 500), ("b", 9500))


PATH = "/api/v1/experiments/tone/outcomes"


async def test_bodies_that_can_not_be_read_are_told(tone):
    transport = ASGITransport(create_app(tone.platform))
    async with AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for body, status, said in (
            (b"{", 400, "line 1: not JSON"),
            (b"[1", 400, "the body: not JSON"),
            (b"\xff", 400, "not UTF-8"),
            (b"[" * 100_000, 400, "not JSON"),
            (b" " * (5 * 1024 * 1024), 413, "send it in parts"),
            (b"1\n" * 10_001, 413, "at most 10000"),
        ):
            answer = await client.post(PATH, content=body)
            assert (answer.status_code, said in answer.text) == (status, True), answer.text
        lines = "\n".join(json.dumps(item(key)) for key in "xy")
        answer = await client.post(PATH, content=lines)
        assert answer.json()["counts"]["accepted"] == 2
        broken = await client.post(PATH, content=f"{json.dumps(item('z'))}\n{{")
        assert broken.json()["counts"]["malformed"] == 1, "a bad line does not lose the others"
        assert "line 2: not JSON" in broken.json()["problems"][-1]["detail"]
        empty = await client.post(PATH, content="")
        assert empty.json()["problems"] == []
        missing = await client.get("/api/v1/experiments/gone/results")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
