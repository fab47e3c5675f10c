"""Calls that wait: shared batches, a bad one among good ones, full queues, deadlines, clients that leave."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from modelserve._kit.waiting import wait_until
from modelserve.protocol import kserve_v1
from modelserve.serving.body import Held

FAIL, NAN, WAIT = -1.0, -2.0, -3.0


async def occupied(server: Any) -> asyncio.Task[httpx.Response]:
    """The only worker waits at the gate; the call that sent it there."""
    call = asyncio.create_task(server.infer([WAIT, 0]))
    await wait_until(server.model.entered.is_set, 10, "the worker is busy")
    return call


async def waiting(server: Any, count: int) -> None:
    await wait_until(lambda: server.telemetry.own.waiting() == count, 10, f"{count} calls wait")


async def test_calls_that_came_while_the_model_ran_share_the_next_batch(serve: Any) -> None:
    async with serve(max_batch=8) as server:
        first = await occupied(server)
        others = [asyncio.create_task(server.infer([0, float(n)])) for n in range(6)]
        await waiting(server, 6)
        server.model.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [answer.json()["outputs"][0]["data"][1] for answer in answers[1:]] == [
            2.0 * n for n in range(6)
        ]
        assert server.model.rows == [1, 6]


async def test_one_bad_item_among_eight_fails_alone(serve: Any) -> None:
    async with serve(max_batch=8) as server:
        first = await occupied(server)
        others = [
            asyncio.create_task(server.infer([order, 1.0], headers={"x-request-id": f"r{n}"}))
            for n, order in enumerate([0, 0, 0, FAIL, 0, 0, 0, 0])
        ]
        await waiting(server, 8)
        server.model.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [answer.status_code for answer in answers[1:]] == [200, 200, 200, 500, 200, 200, 200, 200]
        assert answers[4].json() == {
            "error": "the model failed on this input",
            "code": "model_failed",
            "retryable": False,
        }
        assert server.model.rows == [1, 8] + [1] * 8
        (event,) = server.events()
        assert event["request_id"] == "r3"
        assert "in predict" in event["traceback"]
        assert "Error: secret path" not in str(event), "its words may repeat the input"


async def test_an_output_that_is_no_number_fails_its_own_call_only(serve: Any) -> None:
    async with serve() as server:
        first = await occupied(server)
        bad, good = (asyncio.create_task(server.infer([order, 1])) for order in (NAN, 0.0))
        await waiting(server, 2)
        server.model.gate.set()
        await first
        assert ((await bad).status_code, (await good).status_code) == (500, 200)
        assert "NaN" in (await bad).json()["error"]
        assert server.model.rows == [1, 2]


async def test_texts_of_like_length_share_a_batch_and_long_ones_do_not_join_them(serve: Any) -> None:
    async with serve(text=True) as server:
        server.model.gate.clear()
        first = asyncio.create_task(
            server.client.post(
                "/v2/models/m/infer",
                json={"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [WAIT]}]},
            )
        )
        await wait_until(server.model.entered.is_set, 10, "the worker is busy")
        texts = ["A" + "b" * 20, "x" * 100 + "Y", "ab" * 10 + "C", "x" * 99 + "Y"]
        calls = [asyncio.create_task(server.client.post("/predict/m", json={"text": t})) for t in texts]
        await waiting(server, 4)
        server.model.gate.set()
        answers = await asyncio.gather(first, *calls)
        assert [a.json()["entities"][0]["start"] for a in answers[1:]] == [0, 100, 20, 99]
        assert server.model.rows == [1, 2, 2]


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(serve: Any) -> None:
    async with serve(max_waiting=2) as server:
        first = await occupied(server)
        others = [asyncio.create_task(server.infer([0, 1])) for _ in range(2)]
        await waiting(server, 2)
        refused = await server.infer([0, 1])
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.json()["retryable"] is True
        assert int(refused.headers["retry-after"]) >= 1
        server.model.gate.set()
        assert [a.status_code for a in await asyncio.gather(first, *others)] == [200] * 3
        assert (server.figures()["requests"], server.figures()["failures"]) == (4, 1)


class Unsent:
    """A request whose head is there and whose body the test sends piece by piece."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._place = (host, int(port))

    async def __aenter__(self) -> Unsent:
        self.reader, self.writer = await asyncio.open_connection(*self._place)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def head(self, length: int) -> None:
        self.writer.write(
            b"POST /v2/models/m/infer HTTP/1.1\r\nhost: m\r\ncontent-length: %d\r\n\r\n" % length
        )

    async def status(self) -> int:
        return int((await asyncio.wait_for(self.reader.readline(), 10)).split()[1])


async def test_a_full_queue_refuses_before_a_body_is_there(serve: Any, over_tcp: Any) -> None:
    async with serve(max_waiting=1) as server, over_tcp(server) as url:
        first = await occupied(server)
        other = asyncio.create_task(server.infer([0, 1]))
        await waiting(server, 1)
        async with Unsent(url) as call:
            call.head(500)
            assert await call.status() == 503
        server.model.gate.set()
        assert [a.status_code for a in await asyncio.gather(first, other)] == [200, 200]


async def test_bodies_beyond_the_memory_for_them_are_refused(
    serve: Any, over_tcp: Any, monkeypatch: Any
) -> None:
    taken: list[int] = []
    add = Held.add
    monkeypatch.setattr(Held, "add", lambda held, size: (add(held, size), taken.append(size)))
    async with serve(max_body=1000) as server, over_tcp(server) as url, AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(Unsent(url)) for _ in range(4)]
        for call in calls:
            call.head(1000)
            call.writer.write(b" " * 990)
        await wait_until(lambda: sum(taken) >= 4 * 990, 10, "the four bodies have arrived")
        refused = await server.infer([0, 1])
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        for call in calls:
            call.writer.write(b" " * 10)
            assert await call.status() == 400
        assert (await server.infer([0, 1])).status_code == 200


async def test_large_bodies_are_decoded_one_at_a_time(serve: Any, monkeypatch: Any) -> None:
    running, most = 0, 0
    decode = kserve_v1.decode_items

    def watched(*arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)  # long enough for another thread to come in, if one may
        running -= 1
        return decode(*arguments)

    monkeypatch.setattr(kserve_v1, "decode_items", watched)
    async with serve(text=True) as server:
        body = {"instances": ["x" * 70_000]}
        calls = (server.client.post("/v1/models/m:predict", json=body) for _ in range(4))
        assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * 4
    assert most == 1


async def test_a_call_past_its_deadline_is_answered_504_and_never_runs(serve: Any) -> None:
    async with serve(timeout=0.2) as server:
        first = await occupied(server)
        late = await server.infer([0, 77])
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert (await first).status_code == 504
        server.model.gate.set()

        async def answered() -> bool:
            return bool((await server.infer([0, 5])).status_code == 200)

        await wait_until(answered, 10, "a call is answered within its time")
        assert set(server.model.seen) == {0.0, 5.0}


@pytest.mark.parametrize("header", ["x-envoy-expected-rq-timeout-ms", "x-modelserve-timeout-ms"])
async def test_the_proxys_or_clients_time_limit_counts_where_it_is_shorter(serve: Any, header: str) -> None:
    async with serve(timeout=30) as server:
        first = await occupied(server)
        late = await server.infer([0, 1], headers={header: "100"})
        assert late.status_code == 504
        server.model.gate.set()
        assert (await first).status_code == 200


TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
HEADER = "x-modelserve-timeout-ms"


def timed(microseconds: int, path: str = "/v2/models/m/infer", **headers: str) -> dict[str, Any]:
    """An inference call whose body says for how long its client waits."""
    told = {"parameters": {"timeout": microseconds}}
    row: dict[str, Any] = {"x": [0, 1]} if "generate" in path else {"inputs": [TENSOR | {"data": [0, 1]}]}
    return {"url": path, "json": row | told, "headers": headers}


def binary(microseconds: int) -> dict[str, Any]:
    tensor = TENSOR | {"parameters": {"binary_data_size": 8}}
    text = json.dumps({"inputs": [tensor], "parameters": {"timeout": microseconds}}).encode()
    headers = {"inference-header-content-length": str(len(text))}
    return {"url": "/v2/models/m/infer", "content": text + bytes(8), "headers": headers}


SHORT = {
    "in JSON": timed(100_000),
    "in a body with bytes": binary(100_000),
    "of one revision": timed(100_000, "/v2/models/m/versions/m-00001/infer"),
    "of the generate extension": timed(100_000, "/v2/models/m/generate"),
    "shorter than the header's": timed(100_000, **{HEADER: "20000"}),
    "longer than the header's": timed(20_000_000, **{HEADER: "100"}),
    "0, with a header's": timed(0, **{HEADER: "100"}),
}


@pytest.mark.parametrize("call", SHORT.values(), ids=SHORT.keys())
async def test_the_bodys_time_limit_counts_where_it_is_shorter(serve: Any, call: dict[str, Any]) -> None:
    """`triton#7369`: as over gRPC, in microseconds."""
    async with serve(timeout=30) as server:
        first = await occupied(server)
        late = await server.client.post(**call)
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        server.model.gate.set()
        assert (await first).status_code == 200


async def test_a_time_limit_of_the_body_is_none_if_0_and_never_longer_than_the_servers(serve: Any) -> None:
    async with serve(timeout=0.3) as server:
        for call in (timed(0), timed(10_000_000), binary(0), timed(2**63 - 1)):
            assert (await server.client.post(**call)).status_code == 200
        first = await occupied(server)
        assert (await server.client.post(**timed(60_000_000))).status_code == 504
        assert (await first).status_code == 504


@pytest.mark.parametrize("microseconds", [-1, 1.5, "5", True])
async def test_a_time_limit_that_is_none_is_the_clients_fault(serve: Any, microseconds: Any) -> None:
    async with serve() as server:
        for call in (timed(microseconds), binary(microseconds), timed(microseconds, "/v2/models/m/generate")):
            answer = await server.client.post(**call)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
            assert "parameters.timeout" in answer.json()["error"]
        assert server.figures()["failures"] == 0


async def test_a_client_that_leaves_takes_its_call_with_it(serve: Any, over_tcp: Any) -> None:
    async with serve() as server, over_tcp(server) as url:
        first = await occupied(server)
        async with httpx.AsyncClient() as client:
            body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0, 77]}]}
            leaving = asyncio.create_task(client.post(f"{url}/v2/models/m/infer", json=body))
            await waiting(server, 1)
            leaving.cancel()
            await asyncio.wait([leaving])
        await waiting(server, 0)
        await wait_until(lambda: server.figures()["abandoned"] == 1, 10, "the call is counted as abandoned")
        server.model.gate.set()
        await first
        await server.infer([0, 5])
        assert server.model.seen == [0.0, 5.0]
        assert (server.figures()["requests"], server.figures()["failures"]) == (2, 0)


async def test_a_large_call_does_not_keep_a_small_one_waiting(serve: Any) -> None:
    async with serve(max_batch=2, max_items=100) as server:
        first = await occupied(server)
        large = asyncio.create_task(server.infer(*[[0, 1.0]] * 60))
        await waiting(server, 1)
        small = asyncio.create_task(server.infer([0, 99]))
        await waiting(server, 2)
        server.model.gate.set()
        await asyncio.gather(first, large, small)
        assert server.model.seen.index(99.0) <= 3


async def test_after_a_failed_batch_only_calls_that_somebody_waits_for_run_again(
    serve: Any, monkeypatch: Any
) -> None:
    async with serve() as server:
        together, gate, alone = threading.Event(), threading.Event(), server.model.predict

        def predict(tensors: Any, outputs: Any = ()) -> Any:
            if len(tensors["x"]) == 1:
                return alone(tensors, outputs)
            together.set()
            assert gate.wait(30)
            raise RuntimeError("not together")

        monkeypatch.setattr(server.model, "predict", predict)
        first = await occupied(server)
        stays, leaves = (asyncio.create_task(server.infer([0, n])) for n in (5.0, 77.0))
        await waiting(server, 2)
        server.model.gate.set()
        await wait_until(together.is_set, 10, "both run together")
        leaves.cancel()
        await asyncio.wait([leaves])
        gate.set()
        assert [a.status_code for a in await asyncio.gather(first, stays)] == [200, 200]
        await server.infer([0, 9.0])
        assert server.model.seen == [0.0, 5.0, 9.0]


async def test_when_one_item_of_a_call_fails_the_rest_of_it_does_not_run(serve: Any) -> None:
    async with serve(max_batch=1) as server:
        failed = await server.infer([FAIL, 1], [0, 2], [0, 3], [0, 4])
        assert failed.status_code == 500
        await server.infer([0, 99])
        assert server.model.seen == [1.0, 99.0]


async def test_the_event_loop_answers_while_the_model_runs(serve: Any) -> None:
    async with serve() as server:
        first = await occupied(server)
        assert (await server.client.get("/v2/health/ready")).status_code == 200
        server.model.gate.set()
        await first


async def test_several_workers_run_at_the_same_time(serve: Any) -> None:
    async with serve(threads=2) as server:
        first = await occupied(server)
        assert (await server.infer([0, 5])).status_code == 200
        server.model.gate.set()
        await first


@pytest.mark.parametrize("count", [40])
async def test_no_answers_are_swapped_under_concurrent_load(serve: Any, count: int) -> None:
    async with serve(text=True, threads=2, max_batch=4) as server:
        texts = ["x" * (n % 23) + "A" for n in range(count)]
        answers = await asyncio.gather(
            *(server.client.post("/predict/m", json={"text": text}) for text in texts)
        )
        assert [a.json()["entities"][0]["start"] for a in answers] == [n % 23 for n in range(count)]


async def test_a_panic_of_a_library_ends_neither_a_worker_nor_the_loop(serve: Any) -> None:
    """Nine texts are prepared by the only worker, one by the event loop."""
    async with serve(text=True, max_batch=8) as server:
        for question in ({"text": "panic"}, {"texts": [*"abcdefgh", "panic"]}):
            broken = await server.client.post("/predict/m", json=question)
            assert broken.status_code == 500
            assert "secret" not in broken.text
            whole = await server.client.post("/predict/m", json={"texts": ["Ada"] * 9})
            assert whole.status_code == 200
