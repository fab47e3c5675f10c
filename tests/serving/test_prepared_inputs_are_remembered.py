"""The memory of prepared inputs: what is prepared once, and that nothing else changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelserve.domain.inference import Tensors
from modelserve.errors import InvalidInput
from modelserve.packages import open_package
from modelserve.serving.features import LEAST, RememberingTask
from modelserve.tasks import task_for
from modelserve.tasks.base import Answer

LONG = "x" * LEAST


class CountingTask:
    """Gives what a test can tell apart; ``seen`` is what it was asked for."""

    def __init__(self) -> None:
        self.seen: list[str | bytes] = []

    def prepare(self, item: str | bytes) -> tuple[Tensors, Any]:
        self.seen.append(item)
        if item == LONG + "refuse":
            raise InvalidInput("no")
        return {"x": np.full((1, 4), len(item), np.float32)}, item

    def finish(self, outputs: Tensors, context: Any) -> Answer:
        return ()


@pytest.fixture
def inside() -> CountingTask:
    return CountingTask()


@pytest.fixture
def task(inside: CountingTask) -> RememberingTask:
    return RememberingTask(inside, 10_000)


def test_an_item_is_prepared_once(task: RememberingTask, inside: CountingTask) -> None:
    first, again = task.prepare(LONG + "a"), task.prepare(LONG + "a")
    assert first[0]["x"].tolist() == again[0]["x"].tolist()
    assert first[1] == again[1] == LONG + "a"
    assert inside.seen == [LONG + "a"]
    assert task.results == {"hit": 1, "miss": 1}


def test_a_text_and_the_same_bytes_are_two_items(task: RememberingTask) -> None:
    assert task.prepare(LONG)[1] == LONG
    assert task.prepare(LONG.encode())[1] == LONG.encode()


def test_a_short_item_is_not_remembered(task: RememberingTask, inside: CountingTask) -> None:
    for _ in range(3):
        task.prepare(LONG[1:])
    assert len(inside.seen) == 3
    assert (task.held, task.results) == (0, {"hit": 0, "miss": 0})


def test_a_refused_item_is_refused_each_time(task: RememberingTask, inside: CountingTask) -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput):
            task.prepare(LONG + "refuse")
    assert (len(inside.seen), task.held) == (2, 0)


def test_a_model_that_writes_into_its_input_changes_nobody_elses(task: RememberingTask) -> None:
    for _ in range(3):
        tensors, _ = task.prepare(LONG)
        assert tensors["x"].tolist() == [[float(LEAST)] * 4]
        tensors["x"][:] = -1


def test_memory_is_bounded(task: RememberingTask) -> None:
    for number in range(100):
        task.prepare(LONG + str(number))
        assert task.held <= 10_000
    assert task.evictions > 80


def real_items(models: Path) -> Iterator[tuple[str, list[str | bytes]]]:
    rows = (models / "bert-ner-1" / "reference.jsonl").read_text().splitlines()[:20]
    yield "bert-ner-1", [json.loads(row)["text"] for row in rows]
    rows = (models / "resnet-digits-1" / "reference.jsonl").read_text().splitlines()[:20]
    yield "resnet-digits-1", [base64.b64decode(json.loads(row)["image"]) for row in rows]


def test_real_tokens_and_pixels_are_the_same_as_prepared_anew(models: Path) -> None:
    for name, items in real_items(models):
        plain = task_for(open_package(models / name))
        assert plain is not None
        task = RememberingTask(plain, 1_000_000)
        for item in items * 2:
            remembered, wanted = task.prepare(item)[0], plain.prepare(item)[0]
            assert remembered.keys() == wanted.keys()
            for tensor in wanted:
                assert remembered[tensor].dtype == wanted[tensor].dtype
                assert (remembered[tensor] == wanted[tensor]).all()
        assert task.results["hit"] >= len(items) / 2


async def test_a_server_remembers_where_its_settings_say_so(serve: Any) -> None:
    text = {"texts": [LONG + "A", LONG + "A", "short"]}
    async with serve(text=True, feature_bytes=1_000_000) as server:
        for _ in range(2):
            answer = await server.client.post("/predict/m", json=text)
            assert [len(found) for found in answer.json()["results"]] == [1, 1, 0]
        told = (await server.client.get("/metrics")).text
        own = 'revision="m-00001",service="m"'
        assert f'modelserve_feature_cache_requests_total{{result="hit",{own}}} 3.0' in told
        assert f'modelserve_feature_cache_requests_total{{result="miss",{own}}} 1.0' in told
        assert f"modelserve_feature_cache_bytes{{{own}}}" in told
    async with serve(text=True) as server:
        assert server.telemetry.own.features is None
