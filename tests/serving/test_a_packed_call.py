"""A packed call is unpacked within the bound of all bodies, and its answer packed if it is large."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
import zstandard

PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress}
packings = pytest.mark.parametrize("encoding", PACK)


def instances(rows: int) -> bytes:
    return json.dumps({"instances": [[0.0, float(n)] for n in range(rows)]}).encode()


async def post(server: Any, body: bytes, path: str = "/v1/models/m:predict", **headers: str) -> Any:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return await server.client.post(path, content=body, headers=told)


@packings
async def test_bodies_small_and_large_are_unpacked(serve: Any, encoding: str) -> None:
    async with serve(max_items=20_000) as server:
        for rows in (1, 20_000):
            answer = await post(server, PACK[encoding](instances(rows)), content_encoding=encoding)
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"][-1] == [0.0, 2.0 * (rows - 1)]


@packings
async def test_a_bomb_is_refused_with_413_and_leaves_nothing_held(serve: Any, encoding: str) -> None:
    async with serve(text=True, max_body=1_000_000) as server:
        bomb = PACK[encoding](b" " * 30_000_000)
        for _ in range(6):  # more than all that may be held, were it not given back
            answer = await post(server, bomb, "/predict/m", content_encoding=encoding)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
            assert "unpacks to more than 1000000 bytes" in answer.json()["error"]
        assert (await post(server, b'{"text": "A"}', "/predict/m")).status_code == 200


@packings
async def test_what_is_no_packed_body_is_the_clients_fault(serve: Any, encoding: str) -> None:
    async with serve() as server:
        for body in (b"", b"nonsense", PACK[encoding](instances(1))[:-1]):
            answer = await post(server, body, content_encoding=encoding)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert server.figures()["failures"] == 0


async def test_a_packing_that_is_not_known_is_refused_with_those_that_are(serve: Any) -> None:
    async with serve() as server:
        answer = await post(server, b"", content_encoding="br")
        assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate, zstd")


@pytest.mark.parametrize("rows", [1000, 20_000])
@packings
async def test_a_large_answer_is_packed_for_whoever_asks(serve: Any, encoding: str, rows: int) -> None:
    async with serve(max_items=20_000) as server:
        plain = await post(server, instances(rows), accept_encoding="identity")
        assert "content-encoding" not in plain.headers
        packed = await post(server, instances(rows), accept_encoding=encoding)
        assert packed.headers["content-encoding"] == encoding
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        assert packed.json() == plain.json()
        small = await post(server, instances(1), accept_encoding=encoding)
        assert "content-encoding" not in small.headers


async def test_binary_tensors_are_unpacked_where_numpy_can_use_them(serve: Any) -> None:
    rows = np.zeros((10_000, 2), np.float32)
    tensor = {"name": "x", "shape": [10_000, 2], "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": rows.nbytes}
    async with serve(max_items=10_000) as server:
        for odd in range(4):
            text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
            text += b" " * odd
            answer = await post(
                server, gzip.compress(text + rows.tobytes()), "/v2/models/m/infer",
                content_encoding="gzip", content_type="application/octet-stream",
                inference_header_content_length=str(len(text)),
            )  # fmt: skip
            assert answer.status_code == 200, answer.text
            length = int(answer.headers["inference-header-content-length"])
            assert answer.content[length:] == rows.tobytes()


async def test_numbers_that_json_lacks_are_answered_and_remembered_in_binary(serve: Any) -> None:
    """-2 orders the model to give NaN."""
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [-2, 1]}
    asked = {"inputs": [tensor], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
    async with serve() as server:
        headers = {"x-modelserve-sample": "1"}
        answer = await server.client.post("/v2/models/m/infer", json=asked, headers=headers)
        assert np.isnan(np.frombuffer(answer.content[-8:], np.float32)).all()
        kept = (await server.client.get("/internal/answers")).json()["answers"]
        assert kept[0]["answer"]["outputs"]["y"]["data"] == ["nan", "nan"]
        del asked["outputs"]
        refused = await server.client.post("/v2/models/m/infer", json=asked)
        assert (refused.status_code, refused.json()["code"]) == (500, "model_failed")
        assert "ask for it at /v2 as binary data" in refused.json()["error"]


async def test_a_form_is_a_question(serve: Any) -> None:
    async with serve(text=True) as server:
        one = await server.client.post("/predict/m", files={"text": (None, "aBc")})
        assert [entity["text"] for entity in one.json()["entities"]] == ["B"]
        files = [("file", ("a.txt", b"aBc")), ("file", ("b.txt", b"XY"))]
        many = await server.client.post("/predict/m", files=files)
        assert [len(found) for found in many.json()["results"]] == [1, 2]


async def test_a_header_for_binary_tensors_means_nothing_elsewhere(serve: Any) -> None:
    async with serve(text=True) as server:
        headers = {"inference-header-content-length": "5"}
        large = {"text": "a" * 100_000}
        for body in ({"text": "aBc"}, large):
            answer = await server.client.post("/predict/m", json=body, headers=headers)
            assert answer.status_code == 200
