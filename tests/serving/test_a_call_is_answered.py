"""Calls over HTTP: what is answered, what is refused, and what every answer says about itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest


async def test_every_protocol_gives_the_same_answer(serve: Any) -> None:
    async with serve() as server:
        oip = await server.infer([0, 3])
        v1 = await server.client.post("/v1/models/m:predict", json={"instances": [[0, 3]]})
        versioned = await server.client.post(
            "/v2/models/m/versions/m-00001/infer",
            json={"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0, 3]}]},
        )
        assert oip.json()["outputs"][0]["data"] == [0.0, 6.0]
        assert v1.json() == {"predictions": [[0.0, 6.0]]}
        assert versioned.json() == oip.json()


async def test_a_task_answers_texts_one_or_many(serve: Any) -> None:
    async with serve(text=True) as server:
        one = await server.client.post("/predict/m", json={"text": "aBc"})
        entity = {"text": "B", "label": "CAPITAL", "score": 1.0, "start": 1, "end": 2}
        assert one.json() == {"model": "m", "revision": "m-00001", "entities": [entity]}
        many = await server.client.post("/predict/m", json={"texts": ["aBc", "x", "🎉Y"]})
        assert [len(found) for found in many.json()["results"]] == [1, 0, 1]
        v1 = await server.client.post("/v1/models/m:predict", json={"instances": ["aBc"]})
        assert v1.json() == {"predictions": [[entity]]}


async def test_texts_of_any_length_keep_their_places_in_one_call(serve: Any) -> None:
    texts = ["x" * (1 + (7 * n) % 90) + "A" for n in range(100)]
    async with serve(text=True, max_batch=4) as server:
        answer = await server.client.post("/predict/m", json={"texts": texts})
        assert [found[0]["start"] for found in answer.json()["results"]] == [len(t) - 1 for t in texts]
        assert max(server.model.rows) <= 4


async def test_rows_beyond_a_batch_are_cut_and_put_together_again(serve: Any) -> None:
    async with serve(max_batch=4) as server:
        answer = await server.infer(*([0, float(n)] for n in range(10)))
        assert answer.json()["outputs"][0]["data"][1::2] == [2.0 * n for n in range(10)]
        assert sorted(server.model.rows) == [2, 4, 4]


async def test_every_answer_tells_who_gave_it(serve: Any) -> None:
    async with serve() as server:
        answers = [
            await server.infer([0, 1]),
            await server.client.get("/nowhere"),
            await server.client.get("/v2/models/m/infer"),
            await server.client.post("/v2/models/m/infer", content=b"{"),
            await server.client.get("/internal/answers?after=x"),
            await server.client.get("/metrics"),
        ]
        assert [answer.status_code for answer in answers] == [200, 404, 405, 400, 400, 200]
        for answer in answers:
            assert answer.headers["x-modelserve-service"] == "m"
            assert answer.headers["x-modelserve-revision"] == "m-00001"
            assert len(answer.headers["x-request-id"]) == 36


async def test_a_request_id_comes_back_and_an_unfit_one_is_replaced(serve: Any) -> None:
    async with serve() as server:
        kept = await server.infer([0, 1], headers={"x-request-id": "abc-1"})
        assert kept.headers["x-request-id"] == "abc-1"
        for unfit in ("x" * 129, "two words", ""):
            replaced = await server.infer([0, 1], headers={"x-request-id": unfit})
            assert len(replaced.headers["x-request-id"]) == 36


Wrong = tuple[str, str, dict[str, Any], int, str]
WRONG: list[Wrong] = [
    ("POST", "/v2/models/m/infer", {"content": b'{"inputs": ['}, 400, "invalid_input"),
    ("POST", "/v2/models/m/infer", {"content": b""}, 400, "invalid_input"),
    ("POST", "/v2/models/m/infer", {"content": b'{"inputs": [NaN]}'}, 400, "invalid_input"),
    ("POST", "/v2/models/m/infer", {"json": {"inputs": [{"name": "x"}]}}, 400, "invalid_input"),
    ("POST", "/v2/models/m/infer", {"content": b"x" * 2000}, 413, "payload_too_large"),
    ("POST", "/v2/models/q/infer", {"content": b"{}"}, 404, "unknown_model"),
    ("POST", "/v2/models/m/versions/m-00002/infer", {"content": b"{}"}, 404, "unknown_revision"),
    ("POST", "/v1/models/q:predict", {"content": b"{}"}, 404, "unknown_model"),
    ("POST", "/predict/q", {"content": b"{}"}, 404, "unknown_model"),
    ("POST", "/predict/m", {"json": {"text": "a"}}, 400, "invalid_input"),
    ("GET", "/v2/models/q", {}, 404, "unknown_model"),
    ("GET", "/v2/models/m/versions/m-00002", {}, 404, "unknown_revision"),
    ("GET", "/v2/models/m/versions/m-00002/ready", {}, 404, "unknown_revision"),
    ("GET", "/v1/models/q", {}, 404, "unknown_model"),
    ("GET", "/v2/models/m/infer", {}, 405, "method_not_allowed"),
    ("PUT", "/predict/m", {"content": b"{}"}, 405, "method_not_allowed"),
    ("DELETE", "/v2", {}, 405, "method_not_allowed"),
    ("GET", "/v2/", {}, 404, "not_found"),
    ("GET", "/internal/answers?limit=0", {}, 400, "invalid_input"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "sent", "status", "code"), WRONG)
async def test_a_wrong_call_is_refused_in_one_shape(
    serve: Any, method: str, path: str, sent: dict[str, Any], status: int, code: str
) -> None:
    async with serve(max_body=1000) as server:
        answer = await server.client.request(method, path, **sent)
        body = answer.json()
        assert (answer.status_code, body["code"]) == (status, code)
        assert set(body) == {"error", "code", "retryable"}
        assert body["retryable"] is False
        assert server.figures()["failures"] == 0


async def test_other_media_are_refused_with_415(serve: Any) -> None:
    async with serve() as server:
        for path in ("/v2/models/m/infer", "/v1/models/m:predict"):
            answer = await server.client.post(path, content=b"x", headers={"content-type": "image/png"})
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
    async with serve(text=True) as server:
        answer = await server.client.post("/predict/m", content=b"x", headers={"content-type": "image/png"})
        assert answer.status_code == 415


async def test_too_many_items_are_refused_with_413(serve: Any) -> None:
    async with serve(text=True, max_items=2) as server:
        for path, body in (
            ("/predict/m", {"texts": ["a"] * 3}),
            ("/v1/models/m:predict", {"instances": ["a"] * 3}),
        ):
            answer = await server.client.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    async with serve(max_items=2) as server:
        assert (await server.infer([0, 1], [0, 1], [0, 1])).status_code == 413


async def test_a_body_that_does_not_tell_its_length_is_counted_while_it_is_read(
    serve: Any, over_tcp: Any
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 100

    async with serve(max_body=1000) as server, over_tcp(server) as url, httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v2/models/m/infer", content=endless())
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"


async def test_a_client_that_still_writes_a_refused_body_gets_the_answer(serve: Any, over_tcp: Any) -> None:
    async with serve(max_body=1000) as server, over_tcp(server) as url, httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v2/models/m/infer", content=b"x" * 20_000_000)
        assert answer.status_code == 413


async def test_a_client_that_asks_first_need_not_send_a_body_that_would_be_refused(
    serve: Any, over_tcp: Any
) -> None:
    async with serve(max_body=1000) as server, over_tcp(server) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v2/models/m/infer HTTP/1.1\r\nhost: m\r\ncontent-length: 99999\r\n"
            b"expect: 100-continue\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_a_body_larger_than_the_models_tensors_can_be_is_refused(serve: Any) -> None:
    async with serve(max_items=4) as server:
        for path in ("/v2/models/m/infer", "/v1/models/m:predict"):
            answer = await server.client.post(path, content=b" " * 70_000)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large"), path
    async with serve(text=True, max_items=4) as server:
        answer = await server.client.post("/predict/m", json={"text": "A" * 70_000})
        assert answer.status_code == 200


async def test_a_body_in_an_unknown_encoding_is_refused(serve: Any) -> None:
    async with serve() as server:
        for encoding in ("br", "identity, br", "gzip, gzip"):
            headers = {"content-encoding": encoding}
            answer = await server.client.post("/v2/models/m/infer", content=b"\x1f\x8b", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
            assert f'got "{encoding}"; send one of gzip, deflate' in answer.json()["error"]
        plain = await server.infer([0, 1], headers={"content-encoding": "Identity"})
        assert plain.status_code == 200


async def test_until_the_model_is_loaded_calls_are_told_to_come_back(serve: Any) -> None:
    async with serve(ready=False) as server:
        for method, path in (
            ("POST", "/v2/models/m/infer"),
            ("POST", "/v1/models/m:predict"),
            ("POST", "/predict/m"),
            ("GET", "/v2/models/m"),
            ("GET", "/v2/models/m/ready"),
            ("GET", "/v1/models/m"),
            ("GET", "/v2/health/ready"),
        ):
            answer = await server.client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready"), path
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["retryable"] is True
        assert (await server.client.get("/v2/health/live")).json() == {"live": True}
        assert (await server.client.get("/v2")).json()["name"] == "modelserve"


async def test_metadata_and_readiness_are_told(serve: Any) -> None:
    async with serve() as server:
        told = (await server.client.get("/v2/models/m")).json()
        assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        assert told["versions"] == ["m-00001"]
        for path in ("/v2/models/m/ready", "/v2/models/m/versions/m-00001/ready", "/v1/models/m"):
            assert (await server.client.get(path)).json() == {"name": "m", "ready": True}


async def test_a_draining_server_answers_but_is_not_ready_and_closes_connections(serve: Any) -> None:
    async with serve() as server:
        server.plane.draining = True
        answer = await server.infer([0, 1])
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert (await server.client.get("/v2/health/ready")).status_code == 503


async def test_a_deeply_nested_body_is_the_clients_fault(serve: Any) -> None:
    deep = b"[" * 1010 + b"]" * 1010
    async with serve(text=True) as server:
        for path, field, kind in (
            ("/predict/m", b'"text": ' + deep, "list"),
            ("/predict/m", b'"text": {"a": ' + deep + b"}", "object"),
            ("/v2/models/m/infer", b'"id": ' + deep, "list"),
        ):
            answer = await server.client.post(path, content=b"{" + field + b"}")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
            assert f"got a deeply nested {kind}" in answer.json()["error"]


async def test_a_call_that_is_cut_off_when_the_server_stops_is_told_so(serve: Any) -> None:
    async with serve() as server:
        call = await cut_off(server, draining=True)
        assert (call["status"], call["code"]) == (503, "unavailable")
        assert call["x-modelserve-revision"] == "m-00001"
        with pytest.raises(asyncio.CancelledError):
            await cut_off(server, draining=False)


async def cut_off(server: Any, draining: bool) -> dict[str, Any]:
    """Cancel a call's task while its body is awaited, as uvicorn does when the time to drain is over."""
    reading, told = asyncio.Event(), {}
    server.plane.draining = draining

    async def receive() -> Any:
        reading.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            told["status"] = message["status"]
            told.update({name.decode(): value.decode() for name, value in message["headers"]})
        else:
            told.update(json.loads(message["body"]))

    scope = {"type": "http", "method": "POST", "path": "/v2/models/m/infer", "headers": []}
    task = asyncio.create_task(server.app(scope, receive, send))
    await reading.wait()
    task.cancel()
    await task
    return told


async def test_a_defect_shows_nothing_of_itself_but_the_request_id(serve: Any) -> None:
    async with serve(text=True) as server:
        answer = await server.client.post(
            "/predict/m", json={"text": "defect"}, headers={"x-request-id": "r-7"}
        )
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "r-7" in answer.json()["error"]
        assert "secret" not in answer.text
        (event,) = server.events()
        assert event["event"] == "request_failed"
        assert (event["request_id"], event["code"], event["service"]) == ("r-7", "internal", "m")
        assert "ZeroDivisionError" in event["traceback"]


async def test_a_defect_outside_of_inference_is_json_too(serve: Any, monkeypatch: Any) -> None:
    async with serve() as server:
        monkeypatch.setattr(server.telemetry.own, "figures", lambda: 1 / 0)
        answer = await server.client.get("/internal/figures")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert server.events()[0]["event"] == "internal_error"


async def test_input_that_the_task_refuses_is_the_clients_fault(serve: Any) -> None:
    async with serve(text=True) as server:
        told = 'text: got "refuse"; send another'
        for texts, error in ((["refuse"], told), (["x" * 3000, "refuse"], f"item 1: {told}")):
            answer = await server.client.post("/predict/m", json={"texts": texts})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
            assert answer.json()["error"] == error
        assert server.figures()["client_errors"] == 2
        assert server.events() == []


async def test_only_the_wanted_outputs_are_asked_of_the_model(serve: Any) -> None:
    async with serve() as server:
        tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0, 1]}
        body = {"id": "7", "inputs": [tensor], "outputs": [{"name": "y"}]}
        answer = (await server.client.post("/v2/models/m/infer", json=body)).json()
        assert answer["id"] == "7"
        assert [output["name"] for output in answer["outputs"]] == ["y"]


async def test_a_large_body_is_decoded_all_the_same(serve: Any) -> None:
    rows = [[0.0, float(n)] for n in range(1000)]
    body = json.dumps({"instances": rows}).encode() + b" " * 100_000
    async with serve() as server:
        answer = await server.client.post("/v1/models/m:predict", content=body)
        assert answer.json()["predictions"] == [[0.0, 2.0 * n] for n in range(1000)]
