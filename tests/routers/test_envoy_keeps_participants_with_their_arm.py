"""An experiment on the real front door: who carries a key stays with its arm."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from modelserve._kit.waiting import wait_until
from modelserve.domain.experiments import Layout
from modelserve.domain.routes import Backend, RouteTable, ServiceRoute, Slots, Split, Weight
from modelserve.experiments.assignment import arm_of, lay_out, move
from modelserve.routers.envoy import EnvoyRouter

PATH = "/v2/models/ner/infer"
REVISIONS = {"control": "ner-1", "b": "ner-2", "c": "ner-3"}
Meet = Callable[..., Any]


@pytest.fixture
def split(door: EnvoyRouter, upstream: Callable[..., Any]) -> Callable[..., Any]:
    """Puts an experiment with three arms in force."""
    backends = tuple(Backend(name, (upstream(name).endpoint,)) for name in REVISIONS.values())

    async def apply(layout: Layout, experiment: str = "tone", **key: str) -> None:
        slots = tuple(Slots(arm, REVISIONS[arm], size) for arm, size in layout)
        found = Split(experiment, slots, **(key or {"header": "x-user"}))
        await door.apply(
            RouteTable((ServiceRoute("ner", (Weight("ner-1", 100.0),), backends, "ner-1", split=found),))
        )

    return apply


@pytest.fixture
def meet(port: int, lab: ModuleType) -> Meet:
    """The arm that each key meets, asked over a few connections; the answers by key."""

    async def ask_all(keys: list[str], name: str = "x-user", form: str = "{}") -> dict[str, Any]:
        answers: dict[str, Any] = {}

        async def some(part: list[str]) -> None:
            connection = lab.Connection(port)
            for key in part:
                answers[key] = await connection.request(PATH, "POST", {name: form.format(key)})
            connection.close()

        await asyncio.gather(*(some(keys[at::4]) for at in range(4)))
        return answers

    return ask_all


def arms(answers: dict[str, Any]) -> dict[str, str]:
    """By key; also sees to it that the arm's own revision answered."""
    assert {answer.status for answer in answers.values()} == {200}
    for answer in answers.values():
        assert answer.revision == REVISIONS[answer.headers["x-modelserve-arm"]]
    return {key: answer.headers["x-modelserve-arm"] for key, answer in answers.items()}


async def test_ten_thousand_keys_meet_the_arms_that_the_layout_says(split: Any, meet: Meet) -> None:
    layout = lay_out({"control": 0.5, "b": 0.3, "c": 0.2})
    await split(layout)
    keys = [f"user-{number}" for number in range(10_000)]
    met = arms(await meet(keys))
    assert met == {key: arm_of(layout, "tone", key) for key in keys}
    counts = Counter(met.values())
    expected = {"control": 5000, "b": 3000, "c": 2000}
    assert sum((counts[arm] - n) ** 2 / n for arm, n in expected.items()) < 13.8  # chi2, 2 df, 0.1 %


async def test_only_the_share_that_has_to_move_changes_its_arm(split: Any, meet: Meet) -> None:
    keys = [f"{number:x}@example" for number in range(2000)]
    layout = lay_out({"control": 0.5, "b": 0.3, "c": 0.2})
    await split(layout)
    before = arms(await meet(keys))
    await split(move(layout, {"control": 0.4, "b": 0.3, "c": 0.3}))
    after = arms(await meet(keys))
    moved = {(before[key], after[key]) for key in keys if before[key] != after[key]}
    assert moved == {("control", "c")}
    assert 120 < sum(before[key] != after[key] for key in keys) < 280


async def test_a_cookie_is_found_among_others(split: Any, meet: Meet) -> None:
    layout = lay_out({"control": 0.5, "b": 0.25, "c": 0.25})
    await split(layout, cookie="uid")
    keys = [f"a.b/{number}=" for number in range(60)]
    for form in ("uid={}", "theme=dark; uid={}; x=uid", "yuid=9;uid={}"):
        met = arms(await meet(keys, "cookie", form))
        assert met == {key: arm_of(layout, "tone", key) for key in keys}


async def test_requests_without_a_usable_key_go_to_the_control_and_take_no_part(
    split: Any, meet: Meet
) -> None:
    await split(lay_out({"control": 0.1, "b": 0.9, "c": 0.0}))
    keys = ["", "a,b", "a;b", "x" * 129, "naïve", "a b"]
    answers = await meet(keys)
    answers["forged"] = (await meet(["9"], "x-modelserve-experiment"))["9"]
    for key, answer in answers.items():
        assert (answer.status, answer.revision) == (200, "ner-1"), key
        assert "x-modelserve-experiment" not in answer.headers, key


async def test_each_exposure_is_logged_with_its_key_and_weights(
    door: EnvoyRouter, split: Any, meet: Meet
) -> None:
    await split(lay_out({"control": 0.5, "b": 0.5, "c": 0.0}), experiment="logged")
    answer = (await meet(["Ada/1"]))["Ada/1"]
    await wait_until(lambda: '"logged"' in door.exposure_log.read_text(), 10, "the line is on the disk")
    line = json.loads(door.exposure_log.read_text().splitlines()[-1])
    assert float(line.pop("at")) > 1e9
    assert line == {
        "experiment": "logged",
        "arm": answer.headers["x-modelserve-arm"],
        "key": "Ada/1",
        "weights": "b=5000,control=5000",
        "request_id": answer.headers["x-request-id"],
    }
    assert answer.headers["x-modelserve-experiment"] == "logged"


async def test_a_pinned_request_takes_no_part(split: Any, meet: Meet, port: int, lab: ModuleType) -> None:
    await split(lay_out({"control": 1.0, "b": 0.0, "c": 0.0}))
    headers = {"x-user": "ada", "x-modelserve-revision": "ner-2"}
    answer = await lab.fetch(port, PATH, "POST", headers=headers)
    assert answer.revision == "ner-2"
    assert "x-modelserve-experiment" not in answer.headers
