"""The cache of answers: what is given again, what is not, and what it leaves behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from modelserve.domain.inference import CacheOutcome, CacheUse, InferenceRequest
from modelserve.errors import DeadlineExceeded, ModelFailed
from modelserve.serving import caching, starting
from modelserve.serving.caching import common
from modelserve.serving.served import Served
from modelserve.settings import ServerSettings
from modelserve.stores.cache.memory import MemoryCache

FAIL, NAN, WAIT = -1.0, -2.0, -3.0
CACHE = "x-modelserve-cache"
ON: dict[str, Any] = {"cache_ttl": 60}


def outcomes(answers: list[httpx.Response]) -> list[str | None]:
    return [answer.headers.get(CACHE) for answer in answers]


async def test_an_equal_question_does_not_run_the_model_again(serve: Any) -> None:
    async with serve(**ON) as server:
        answers = [await server.infer(row) for row in ([0, 3], [0, 3], [0, 4], [0, 3])]
        assert outcomes(answers) == ["miss", "hit", "miss", "hit"]
        assert [answer.json()["outputs"][0]["data"][1] for answer in answers] == [6, 6, 8, 6]
        assert server.model.rows == [1, 1]


async def test_the_protocol_of_a_question_does_not_matter(serve: Any) -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[0.0, 3]]}
    async with serve(**ON) as server:
        oip = await server.infer([0, 3])
        v1 = await server.client.post("/v1/models/m:predict", json={"instances": [[0, 3]]})
        nested = await server.client.post("/v2/models/m/versions/m-00001/infer", json={"inputs": [tensor]})
        assert outcomes([oip, v1, nested]) == ["miss", "hit", "hit"]
        assert v1.json() == {"predictions": [[0.0, 6.0]]}
        assert nested.json() == oip.json()
    async with serve(text=True, **ON) as server:
        one = await server.client.post("/predict/m", json={"text": "aBc"})
        again = await server.client.post("/predict/m", json={"texts": ["aBc"]})
        v1 = await server.client.post("/v1/models/m:predict", json={"instances": ["aBc"]})
        assert outcomes([one, again, v1]) == ["miss", "hit", "hit"]
        assert again.json()["results"] == v1.json()["predictions"] == [one.json()["entities"]]


async def test_each_answer_keeps_the_request_id_of_its_own_question(serve: Any) -> None:
    async with serve(**ON) as server:
        for name in ("one", "two"):
            answer = await server.infer([0, 3], headers={"x-request-id": name})
            assert answer.headers["x-request-id"] == name


async def test_it_is_off_unless_asked_for_and_then_nothing_of_it_is_there(serve: Any) -> None:
    async with serve() as server:
        assert type(server.plane.repository.require("m", None)) is Served
        assert outcomes([await server.infer([0, 3]), await server.infer([0, 3])]) == [None, None]
        assert server.model.rows == [1, 1]
        assert "modelserve_cache" not in server.telemetry.exposition().decode()


async def test_a_client_may_leave_it_alone_or_renew_it(serve: Any) -> None:
    async with serve(**ON) as server:
        told = ["bypass", "use", "bypass", "REFRESH", "nonsense", ""]
        answers = [await server.infer([0, 3], headers={CACHE: word}) for word in told]
        assert outcomes(answers) == ["bypass", "miss", "bypass", "miss", "hit", "hit"]
        assert server.model.rows == [1, 1, 1, 1]


async def test_a_refreshed_answer_takes_the_place_of_the_old_one(serve: Any) -> None:
    async with serve(**ON) as server:
        await server.infer([0, 3])
        server.model.predict = lambda tensors, outputs=(): {"y": tensors["x"] * 5}
        assert (await server.infer([0, 3])).json()["outputs"][0]["data"] == [0, 6]
        await server.infer([0, 3], headers={CACHE: "refresh"})
        assert (await server.infer([0, 3])).json()["outputs"][0]["data"] == [0, 15]


async def test_only_answers_are_kept(serve: Any) -> None:
    async with serve(**ON) as server:
        for order in (FAIL, NAN):
            answers = [await server.infer([order, 1]) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [500] * 3
            assert outcomes(answers) == [None] * 3
        assert server.telemetry.own.cache.held == 0
        assert len(server.model.rows) == 6


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_is_given_until_its_time_is_over(serve: Any, monkeypatch: Any) -> None:
    clock = Clock()
    monkeypatch.setattr(starting, "open_cache", lambda url, size: MemoryCache(size, clock))
    async with serve(cache_ttl=30) as server:
        await server.infer([0, 3])
        clock.now += 29.9
        before = await server.infer([0, 3])
        clock.now += 0.2
        after = await server.infer([0, 3])
        assert outcomes([before, after]) == ["hit", "miss"]


def question(*row: float, **changes: Any) -> InferenceRequest:
    return InferenceRequest("m", "r", {"x": np.array([row], np.float32)}, **changes)


async def reached(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        await asyncio.sleep(0.002)


async def waiting(server: Any, count: int) -> list[asyncio.Task[Any]]:
    """``count`` equal questions, of which the first is at the gate."""
    first = asyncio.create_task(server.plane.answer(question(WAIT, 7)))
    await reached(server.model.entered.is_set)
    others = [asyncio.create_task(server.plane.answer(question(WAIT, 7))) for _ in range(count - 1)]
    await asyncio.sleep(0)
    return [first, *others]


async def test_equal_questions_at_the_same_time_are_one_run(serve: Any) -> None:
    async with serve(**ON) as server:
        calls = await waiting(server, 6)
        server.model.gate.set()
        responses = await asyncio.gather(*calls)
        assert [r.cache for r in responses] == [CacheOutcome.MISS, *[CacheOutcome.HIT] * 5]
        assert all(r.tensors["y"].tolist() == [[2 * WAIT, 14]] for r in responses)
        assert server.model.rows == [1]


async def test_nobody_inherits_that_another_client_went_away(serve: Any) -> None:
    async with serve(**ON) as server:
        calls = await waiting(server, 6)
        calls[0].cancel()
        calls[3].cancel()
        await reached(calls[0].done)
        server.model.gate.set()
        left = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(r) for r in left].count(asyncio.CancelledError) == 2
        assert [r.cache for r in left if not isinstance(r, BaseException)] == [
            CacheOutcome.MISS, *[CacheOutcome.HIT] * 3,
        ]  # fmt: skip
        assert server.model.rows == [1, 1]


async def test_nobody_inherits_that_another_call_failed(serve: Any) -> None:
    async with serve(**ON) as server:
        calls = await waiting(server, 3)
        ran, failed = server.model.predict, []

        def fail_once(tensors: Any, outputs: Any = ()) -> Any:
            if not failed:
                failed.append(1)
                raise ModelFailed("a moment of weakness")
            return ran(tensors, outputs)

        behind = [asyncio.create_task(server.plane.answer(question(0, 9))) for _ in range(4)]
        server.model.predict = fail_once
        server.model.gate.set()
        await asyncio.gather(*calls)
        results = await asyncio.gather(*behind, return_exceptions=True)
        assert isinstance(results[0], ModelFailed)
        assert [r.cache for r in results[1:]] == [CacheOutcome.MISS] * 3


async def test_nobody_waits_twice_for_an_answer_that_is_not_kept(serve: Any) -> None:
    async with serve(max_batch=1, **ON) as server:

        def nan(tensors: Any, outputs: Any = ()) -> Any:
            if server.model.rows:
                assert server.model.gate.wait(30)
            server.model.rows.append(len(tensors["x"]))
            return {"y": np.full_like(tensors["x"], np.nan)}

        server.model.predict = nan
        calls = [asyncio.create_task(server.plane.answer(question(0, 9))) for _ in range(5)]
        await reached(lambda: server.telemetry.own.waiting() == 3)
        server.model.gate.set()
        assert [r.cache for r in await asyncio.gather(*calls)] == [CacheOutcome.MISS] * 5
        assert server.telemetry.own.cache_results == {"miss": 5}


async def test_who_waits_for_another_keeps_its_own_deadline(serve: Any) -> None:
    async with serve(**ON) as server:
        calls = await waiting(server, 1)
        with pytest.raises(DeadlineExceeded, match="equal request"):
            await server.plane.answer(question(WAIT, 7, deadline=time.monotonic() + 0.02))
        server.model.gate.set()
        assert (await calls[0]).cache is CacheOutcome.MISS


async def test_a_full_queue_refuses_no_answer_that_is_there(serve: Any) -> None:
    async with serve(max_waiting=1, max_batch=1, **ON) as server:
        await server.infer([0, 3])
        at_the_gate = await waiting(server, 1)
        behind = asyncio.create_task(server.plane.answer(question(0, 8)))
        await reached(lambda: server.telemetry.own.waiting() == 1)
        assert (await server.infer([0, 4])).status_code == 503
        kept = await server.infer([0, 3])
        assert (kept.status_code, kept.headers[CACHE]) == (200, "hit")
        server.model.gate.set()
        await asyncio.gather(*at_the_gate, behind)


async def test_a_hit_is_a_request_but_no_latency(serve: Any) -> None:
    async with serve(**ON) as server:
        for _ in range(5):
            await server.infer([0, 3])
        assert server.figures()["requests"] == 5
        assert sum(server.figures()["latency"]) == 1


async def test_a_copy_always_runs_the_model_and_its_answer_is_kept(serve: Any) -> None:
    copy = {"x-modelserve-arm": "shadow"}
    async with serve(**ON) as server:
        copies = [await server.infer([0, 3], headers=copy) for _ in range(3)]
        live = await server.infer([0, 3])
        left_alone = await server.infer([0, 5], headers=copy | {CACHE: "bypass"})
        assert outcomes([*copies, live, left_alone]) == ["miss"] * 3 + ["hit", "bypass"]
        assert sum(server.figures("shadow")["latency"]) == 4


async def test_a_hit_is_sampled_like_any_answer(serve: Any) -> None:
    async with serve(**ON) as server:
        for _ in range(2):
            await server.infer([0, 3], headers={"x-modelserve-sample": "1"})
        page = (await server.client.get("/internal/answers")).json()
        first, second = (entry["answer"] for entry in page["answers"])
        assert first == second == {"kind": "tensors", "outputs": {"y": {"shape": [1, 2], "data": [0, 6]}}}


async def test_questions_are_counted_by_what_came_of_them(serve: Any) -> None:
    async with serve(**ON) as server:
        for told in ("use", "use", "bypass", "use"):
            await server.infer([0, 3], headers={CACHE: told})
        text = (await server.client.get("/metrics")).text
        for result, count in (("hit", 2), ("miss", 1), ("bypass", 1)):
            labels = f'{{result="{result}",revision="m-00001",service="m"}}'
            assert f"modelserve_cache_requests_total{labels} {count}.0" in text
        assert 'modelserve_cache_bytes{revision="m-00001",service="m"}' in text
        assert 'modelserve_cache_evictions_total{revision="m-00001",service="m"} 0.0' in text


async def test_a_damaged_value_is_a_miss_and_counts_as_an_error(serve: Any) -> None:
    async with serve(**ON) as server:
        await server.infer([0, 3])
        ((key, (kept, until)),) = [(k, v[0]) for k, v in server.telemetry.own.cache._values._entries.items()]
        for damaged in (kept[:-1], kept[:-1] + b"\xff", b"", b"x" * 100, b"\0" * len(kept)):
            server.telemetry.own.cache._values.put(key, (damaged, until), 1)
            answer = await server.infer([0, 3])
            assert (answer.json()["outputs"][0]["data"], answer.headers[CACHE]) == ([0, 6], "miss")
        assert server.telemetry.own.cache_results == {"miss": 1, "error": 5}


async def test_a_value_of_another_question_is_never_taken(serve: Any) -> None:
    async with serve(**ON) as server:
        await server.infer([0, 3])
        await server.infer([0, 4])
        entries = server.telemetry.own.cache._values._entries
        one, other = entries
        entries[one], entries[other] = entries[other], entries[one]
        assert (await server.infer([0, 3])).json()["outputs"][0]["data"] == [0, 6]


async def test_a_large_question_is_answered_from_the_cache_too(serve: Any) -> None:
    async with serve(text=True, **ON) as server:
        text = {"text": "A" + "x" * caching.LARGE}
        answers = [await server.client.post("/predict/m", json=text) for _ in range(2)]
        assert outcomes(answers) == ["miss", "hit"]
        assert answers[0].json() == answers[1].json()


async def test_a_model_that_gives_changing_answers_is_never_cached(serve: Any) -> None:
    async with serve(deterministic=False, **ON) as server:
        assert outcomes([await server.infer([0, 3]), await server.infer([0, 3])]) == [None, None]
        assert server.model.rows == [1, 1]


async def test_until_the_model_is_loaded_calls_are_told_to_come_back(serve: Any) -> None:
    async with serve(ready=False, **ON) as server:
        assert (await server.infer([0, 3])).status_code == 503


def test_a_bad_store_makes_the_server_unfit_and_hides_the_password(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"], cache_ttl=60, cache_url="redis://me:hunter2@host:port")
    assert server.process.wait(20) == 3
    assert "cache_url: must be memory://" in server.told["error"]
    assert "hunter2" not in server.log.read_text() + server.announce.read_text()


CHANGES = [
    {"max_batch": 4}, {"service": "n"}, {"revision": "m-00002"}, {"task": "tensor"}, {"threads": 2},
    {"max_items": 7}, {"timeout": 3.0},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
async def test_a_changed_setting_changes_every_key(serve: Any, change: dict[str, Any]) -> None:
    async with serve() as server:
        settings = server.settings.model_dump()
        changed = ServerSettings.model_validate(settings | change)
        assert common(server.settings, server.loaded) != common(changed, server.loaded)


@pytest.mark.parametrize(
    "change",
    [{"package": Path("/elsewhere")}, {"port": 9}, {"cache_url": "redis://h"}, {"cache_ttl": 5.0}],
    ids=lambda change: next(iter(change)),
)
async def test_where_things_are_changes_no_key(serve: Any, change: dict[str, Any]) -> None:
    async with serve() as server:
        changed = ServerSettings.model_validate(server.settings.model_dump() | change)
        assert common(server.settings, server.loaded) == common(changed, server.loaded)


async def test_another_model_or_task_changes_every_key(serve: Any) -> None:
    async with serve() as server:
        keys = {common(server.settings, server.loaded)}
        for change in ({"digest": "1" * 64}, {"task": "image-classification"}):
            package = replace(server.loaded.package, **change)
            keys.add(common(server.settings, replace(server.loaded, package=package)))
        assert len(keys) == 3


async def test_a_call_that_asks_for_a_bypass_waits_for_nobody(serve: Any) -> None:
    async with serve(threads=2, **ON) as server:
        calls = await waiting(server, 1)
        server.model.gate.set()
        alone = await server.plane.answer(question(WAIT, 7, cache=CacheUse.BYPASS))
        assert alone.cache is CacheOutcome.BYPASS
        await asyncio.gather(*calls)
        assert server.model.rows == [1, 1]


async def test_a_server_without_a_cache_has_nothing_of_it_in_its_way(serve: Any) -> None:
    async with serve() as server:
        assert type(server.plane.repository.require("m", None)) is Served
    async with serve(**ON) as server:
        assert type(server.plane.repository.require("m", None)) is caching.CachedServed
