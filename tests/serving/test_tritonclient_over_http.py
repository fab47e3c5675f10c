"""tritonclient over HTTP, as its users call it, against a real server process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

TYPES = {
    "f": TensorProto.FLOAT, "h": TensorProto.FLOAT16, "d": TensorProto.DOUBLE, "l": TensorProto.INT64,
    "c": TensorProto.UINT8, "b": TensorProto.BOOL, "s": TensorProto.STRING,
}  # fmt: skip
GIVEN = {
    "f": np.array([[1.5, np.nan], [np.inf, -0.0]], np.float32),
    "h": np.array([[0.1, 65504], [-1, 0]], np.float16),
    "d": np.array([[0.1, 1e300], [0, 1]], np.float64),
    "l": np.array([[2**62, -1], [0, 1]], np.int64),
    "c": np.array([[255, 0], [1, 2]], np.uint8),
    "b": np.array([[True, False], [False, True]]),
    "s": np.array([["é", ""], ["b", "longer than four"]], object),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, start_shared: Any) -> str:
    """A server of a model that gives back what it takes, a tensor of every type."""
    path: Path = tmp_path_factory.mktemp("echo") / "echo.onnx"
    inputs = [helper.make_tensor_value_info(name, kind, ["n", "m"]) for name, kind in TYPES.items()]
    outputs = [helper.make_tensor_value_info(f"{name}_out", kind, ["n", "m"]) for name, kind in TYPES.items()]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in TYPES]
    graph = helper.make_graph(nodes, "echo", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    url: str = start_shared(path, max_items=20_000).ready()
    return url.removeprefix("http://")


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as connected:
        yield connected


def inputs_of(given: dict[str, Any], binary: bool = True, module: Any = triton) -> list[Any]:
    inputs = []
    for name, data in given.items():
        tensor = module.InferInput(name, list(data.shape), np_to_triton_dtype(data.dtype))
        inputs.append(tensor.set_data_from_numpy(data, binary_data=binary))
    return inputs


def same(result: Any, given: dict[str, Any]) -> None:
    for name, sent in given.items():
        back = result.as_numpy(f"{name}_out")
        if name == "s":
            back = np.vectorize(lambda each: each.decode() if isinstance(each, bytes) else each)(back)
        np.testing.assert_array_equal(back, sent)


FINITE = GIVEN | {"f": np.array([[1.5, 2], [3, 0]], np.float32)}


def test_it_sees_the_server_and_the_model(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert client.is_model_ready("m", "m-00001")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("m")
    assert [tensor["datatype"] for tensor in metadata["inputs"]] == [
        "FP32", "FP16", "FP64", "INT64", "UINT8", "BOOL", "BYTES",
    ]  # fmt: skip


def test_every_type_goes_in_and_out_as_bytes(client: triton.InferenceServerClient) -> None:
    outputs = [triton.InferRequestedOutput(f"{name}_out") for name in GIVEN]
    same(client.infer("m", inputs_of(GIVEN), outputs=outputs), GIVEN)
    result = client.infer("m", inputs_of(GIVEN), request_id="7", model_version="m-00001")
    same(result, GIVEN)
    assert result.get_response()["id"] == "7"


def test_every_type_goes_in_and_out_as_json(client: triton.InferenceServerClient) -> None:
    outputs = [triton.InferRequestedOutput(f"{name}_out", binary_data=False) for name in FINITE]
    result = client.infer("m", inputs_of(FINITE, binary=False), outputs=outputs)
    same(result, FINITE)
    assert all("data" in output for output in result.get_response()["outputs"])


def test_json_goes_in_and_bytes_come_out_and_the_other_way_round(
    client: triton.InferenceServerClient,
) -> None:
    same(client.infer("m", inputs_of(FINITE, binary=False)), FINITE)
    mixed = [
        tensor
        for n, (name, data) in enumerate(FINITE.items())
        for tensor in inputs_of({name: data}, n % 2 == 0)
    ]
    outputs = [
        triton.InferRequestedOutput(f"{name}_out", binary_data=n % 3 == 0) for n, name in enumerate(FINITE)
    ]
    same(client.infer("m", mixed, outputs=outputs), FINITE)


def test_bytes_that_are_no_text_come_back_as_bytes(client: triton.InferenceServerClient) -> None:
    """onnxruntime takes strings in UTF-8 only; what is none is the client's fault and no crash."""
    odd = GIVEN | {"s": np.array([[b"\xff\x00", b""], [b"", b""]], object)}
    with pytest.raises(InferenceServerException) as caught:
        client.infer("m", inputs_of(odd))
    assert caught.value.status() in ("400", "500")


@pytest.mark.parametrize("request_", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response", [None, "gzip", "deflate"])
@pytest.mark.parametrize("rows", [1, 5000])
def test_calls_and_answers_are_packed(
    client: triton.InferenceServerClient, request_: Any, response: Any, rows: int
) -> None:
    given = {name: np.repeat(data, rows, axis=0) for name, data in GIVEN.items()}
    packed = {"request_compression_algorithm": request_, "response_compression_algorithm": response}
    same(client.infer("m", inputs_of(given), **packed), given)


def test_a_wrong_call_is_told_what_would_be_right(client: triton.InferenceServerClient) -> None:
    wrong = inputs_of(GIVEN | {"f": GIVEN["d"]})
    with pytest.raises(InferenceServerException, match="the model takes FP32"):
        client.infer("m", wrong)
    outputs = [triton.InferRequestedOutput("f_out", class_count=3)]
    with pytest.raises(InferenceServerException, match="does not speak that extension"):
        client.infer("m", inputs_of(GIVEN), outputs=outputs)


def test_a_call_ends_at_the_time_that_the_client_sets(client: triton.InferenceServerClient) -> None:
    """`triton-inference-server/client#203`."""
    for binary in (True, False):
        same(client.infer("m", inputs_of(FINITE, binary), timeout=10_000_000), FINITE)
        with pytest.raises(InferenceServerException, match="the deadline passed") as late:
            client.infer("m", inputs_of(FINITE, binary), timeout=1)
        assert late.value.status() == "504"


async def test_the_asynchronous_client_gets_the_same(address: str) -> None:
    async with triton_aio.InferenceServerClient(address) as client:
        assert await client.is_server_ready()
        same(await client.infer("m", inputs_of(GIVEN, module=triton_aio)), GIVEN)
        same(await client.infer("m", inputs_of(FINITE, False, triton_aio)), FINITE)
        packed = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
        same(await client.infer("m", inputs_of(GIVEN, module=triton_aio), **packed), GIVEN)
