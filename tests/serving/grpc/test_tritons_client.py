"""Triton's own gRPC client against a real server process, used as its documentation says."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from modelserve import __version__
from modelserve.domain.inference import DataType

ROWS = np.array([[1.5, 2], [3, 4]], np.float32)


@pytest.fixture
def client(door: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(door) as client:
        yield client


def x(rows: Any = ROWS) -> list[triton.InferInput]:
    tensor = triton.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return [tensor]


def test_sees_that_the_server_is_live_and_ready(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert client.is_model_ready("m", "m-00001")


def test_reads_metadata(client: Any) -> None:
    server = client.get_server_metadata(as_json=True)
    assert (server["name"], server["version"]) == ("modelserve", __version__)
    model = client.get_model_metadata("m", as_json=True)
    assert (model["name"], model["versions"]) == ("m", ["m-00001"])
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "2"]}]
    assert model["outputs"] == [{"name": "y", "datatype": "FP32", "shape": ["-1", "2"]}]
    index = client.get_model_repository_index(as_json=True)
    assert index["models"] == [{"name": "m", "version": "m-00001", "state": "READY"}]


def test_gets_the_answer_to_its_tensors(client: Any) -> None:
    result = client.infer("m", x(), request_id="mine", outputs=[triton.InferRequestedOutput("y")])
    assert result.as_numpy("y").tolist() == (ROWS * 2).tolist()
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("mine", "m", "m-00001")


def test_gets_answers_through_callbacks(client: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    for number in range(20):
        client.async_infer(
            "m", x(ROWS * number), lambda result, error: answers.put((result, error)), request_id=str(number)
        )
    for _ in range(20):
        result, error = answers.get(timeout=30)
        assert error is None
        assert result.as_numpy("y").tolist() == (ROWS * 2 * int(result.get_response().id)).tolist()


async def test_gets_answers_with_asyncio(door: str) -> None:
    async with triton_aio.InferenceServerClient(door) as client:
        assert await client.is_server_ready()
        assert (await client.infer("m", x())).as_numpy("y").tolist() == (ROWS * 2).tolist()


def test_streams_requests_and_each_has_its_own_fate(client: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(200):
        client.async_stream_infer("m", x(ROWS * number), request_id=str(number))
    client.async_stream_infer("other", x(), request_id="astray")
    client.async_stream_infer("m", x(), request_id="last", outputs=[triton.InferRequestedOutput("z")])
    seen, errors = set(), []
    for _ in range(202):
        result, error = answers.get(timeout=30)
        if error:
            errors.append(error.message())
            continue
        response = result.get_response()
        seen.add(int(response.id))
        assert result.as_numpy("y").tolist() == (ROWS * 2 * int(response.id)).tolist()
        assert response.parameters["triton_final_response"].bool_param
    client.stop_stream()
    assert seen == set(range(200))
    assert sorted(errors) == [
        'model: got "other"; this server answers for "m"',
        'outputs[0].name: got "z"; the model gives "y"',
    ]


async def test_streams_with_asyncio(door: str) -> None:
    async def requests() -> Any:
        for number in range(3):
            yield {"model_name": "m", "inputs": x(), "request_id": str(number)}

    async with triton_aio.InferenceServerClient(door) as client:
        answers = [answer async for answer in client.stream_infer(requests())]
    assert sorted(result.get_response().id for result, error in answers if error is None) == ["0", "1", "2"]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compresses_what_it_sends(client: Any, algorithm: str) -> None:
    rows = np.ones((1000, 2), np.float32)
    result = client.infer("m", x(rows), compression_algorithm=algorithm)
    assert (result.as_numpy("y") == 2).all()


def test_is_told_what_is_wrong(client: Any) -> None:
    wrong = triton.InferInput("x", [1, 2], "FP64")
    wrong.set_data_from_numpy(np.ones((1, 2)))
    with pytest.raises(InferenceServerException, match="the model takes FP32") as told:
        client.infer("m", [wrong])
    assert told.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(InferenceServerException, match='this server is "m-00001"') as told:
        client.infer("m", x(), model_version="7")
    assert told.value.status() == "StatusCode.NOT_FOUND"


def test_gives_up_at_its_own_deadline(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["slow"], max_items=100_000, max_batch=1, threads=1, grpc_port=0)
    server.ready()
    with triton.InferenceServerClient(f"127.0.0.1:{server.told['grpc_port']}") as client:
        with pytest.raises(InferenceServerException) as told:
            client.infer("m", x(np.ones((50_000, 2), np.float32)), client_timeout=0.2)
        assert told.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        assert client.infer("m", x()).as_numpy("y").shape == (2, 2), "the work of the late call was dropped"
    assert [event["event"] for event in server.events()] == ["started", "ready", "request_failed"]


def test_is_told_that_the_time_it_allows_is_over(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["slow"], max_items=100_000, max_batch=1, threads=1, grpc_port=0)
    server.ready()
    with triton.InferenceServerClient(f"127.0.0.1:{server.told['grpc_port']}") as client:
        with pytest.raises(InferenceServerException, match="the deadline passed") as told:
            client.infer("m", x(np.ones((50_000, 2), np.float32)), timeout=100_000)
        assert told.value.status() == "StatusCode.DEADLINE_EXCEEDED"


_EXAMPLES: dict[DataType, list[Any]] = {
    DataType.BOOL: [True, False],
    DataType.BYTES: [b"", "zwölf".encode()],
    **{kind: [-2.5, 0.1] for kind in (DataType.FP16, DataType.FP32, DataType.FP64)},
}


def _pair(kind: DataType) -> Any:
    if kind in _EXAMPLES:
        return np.array(_EXAMPLES[kind], kind.numpy)
    info = np.iinfo(kind.numpy)
    return np.array([info.min, info.max], kind.numpy)


def test_sends_and_gets_every_element_type(start: Any, echo_model: Path) -> None:
    server = start(echo_model, grpc_port=0)
    server.ready()
    pairs = {kind: _pair(kind) for kind in DataType}
    inputs = [triton.InferInput(kind, [2], kind).set_data_from_numpy(pairs[kind]) for kind in pairs]
    with triton.InferenceServerClient(f"127.0.0.1:{server.told['grpc_port']}") as client:
        result = client.infer("m", inputs)
    for kind, pair in pairs.items():
        answered = result.as_numpy(f"same-{kind}")
        assert (answered.dtype, answered.tolist()) == (pair.dtype, pair.tolist()), kind
