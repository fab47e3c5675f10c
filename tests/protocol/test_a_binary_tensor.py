"""A binary tensor is a view of the body, and every size is checked before anything is read."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from modelserve.domain.inference import Array, DataType, InferenceResponse, Signature, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, binary, oip

ONE = Signature(
    (TensorSpec("x", DataType.FP32, (-1, 2)),),
    (TensorSpec("y", DataType.FP32, (-1, 2)), TensorSpec("z", DataType.BYTES, (-1,))),
)
EIGHT = struct.pack("<2f", 1.5, -2.0)


def entry(size: Any = 8, **changes: Any) -> dict[str, Any]:
    parameters = {"parameters": {"binary_data_size": size}}
    return {"name": "x", "shape": [1, 2], "datatype": "FP32"} | parameters | changes


def message(tail: bytes, *inputs: dict[str, Any], **fields: Any) -> tuple[bytes, str]:
    """A body, and the header that tells the length of its JSON."""
    text = json.dumps({"inputs": inputs, **fields}).encode()
    return text + tail, str(len(text))


def decode(tail: bytes, *inputs: dict[str, Any], signature: Signature = ONE, **fields: Any) -> oip.InferCall:
    body, length = message(tail, *inputs, **fields)
    return oip.decode(body, signature, length)


def test_bytes_behind_the_json_are_the_tensor() -> None:
    array = decode(EIGHT, entry()).tensors["x"]
    assert (array.tolist(), array.dtype) == ([[1.5, -2.0]], np.float32)


def test_an_aligned_tensor_is_not_copied() -> None:
    text = json.dumps({"inputs": [entry()]}).encode()
    padded = text + b" " * (-len(text) % 8)
    body = padded + EIGHT
    array = oip.decode(body, ONE, str(len(padded))).tensors["x"]
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))
    assert not array.flags.writeable
    askew = oip.decode(text + b" " * (-len(text) % 8 + 1) + EIGHT, ONE, str(len(padded) + 1)).tensors["x"]
    assert askew.flags.aligned
    assert askew.tolist() == array.tolist()


def test_json_and_bytes_mix_in_any_order() -> None:
    signature = Signature(
        (*ONE.inputs, TensorSpec("k", DataType.INT64, (-1,)), TensorSpec("b", DataType.BOOL, (-1,))), ()
    )
    k = {"name": "k", "shape": [1], "datatype": "INT64", "data": [7]}
    b = {"name": "b", "shape": [1], "datatype": "BOOL", "parameters": {"binary_data_size": 1}}
    tensors = decode(b"\x01" + EIGHT, b, k, entry(), signature=signature).tensors
    assert {name: array.tolist() for name, array in tensors.items()} == {
        "b": [True], "k": [7], "x": [[1.5, -2.0]],
    }  # fmt: skip


def test_numbers_that_json_lacks_are_welcome() -> None:
    odd = struct.pack("<2f", math.nan, -math.inf)
    assert np.isnan(decode(odd, entry()).tensors["x"][0, 0])


def test_strings_have_their_lengths_before_them() -> None:
    tail = b"\x01\0\0\0\xff\0\0\0\0\x02\0\0\0ab"
    spec = TensorSpec("x", DataType.BYTES, (-1, 1))
    array = binary.array(memoryview(tail), DataType.BYTES, [3, 1], "x")
    assert array.tolist() == [[b"\xff"], [b""], [b"ab"]]
    given_ = {"name": "x", "shape": [3, 1], "datatype": "BYTES"}
    sized = given_ | {"parameters": {"binary_data_size": len(tail)}}
    assert decode(tail, sized, signature=Signature((spec,), ())).tensors["x"].tolist() == array.tolist()


SIZE = "inputs[0].parameters.binary_data_size"
WRONG: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "less than the shape": (EIGHT, entry(4), f"{SIZE}: got 4; FP32 of shape [1, 2] takes 8 bytes"),
    "more than the body": (EIGHT, entry(9), f"{SIZE}: got 9; 8 bytes are left of the body"),
    "more than any body": (EIGHT, entry(2**62), f"{SIZE}: got 4611686018427387904; 8 bytes are left"),
    "more than the shape": (EIGHT * 2, entry(16), f"{SIZE}: got 16; FP32 of shape [1, 2] takes 8 bytes"),
    "trailing bytes": (EIGHT + b"!", entry(), "body: 1 bytes follow the last tensor"),
    "negative": (EIGHT, entry(-8), f"{SIZE}: got -8; send the tensor's size in bytes"),
    "boolean": (EIGHT, entry(True), f"{SIZE}: got true"),
    "string": (EIGHT, entry("8"), f'{SIZE}: got "8"'),
    "float": (EIGHT, entry(8.0), f"{SIZE}: got 8.0"),
    "null": (EIGHT, entry(None), f"{SIZE}: got null"),
    "both": (EIGHT, entry(data=[1, 2]), f"{SIZE}: got 8; send either this or inputs[0].data"),
    "a huge shape": (EIGHT, entry(shape=[10**18, 2]), "takes 8000000000000000000 bytes"),
    "parameters": (EIGHT, entry(parameters=[8]), "inputs[0].parameters: got [8]; send an object"),
    "shared memory": (
        b"",
        entry(parameters={"shared_memory_region": "r"}),
        "inputs[0].parameters.shared_memory_region: this server does not speak that extension",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_size_is_refused_by_place_value_and_remedy(case: tuple[bytes, dict[str, Any], str]) -> None:
    tail, wrong, told = case
    with pytest.raises(InvalidInput) as caught:
        decode(tail, wrong)
    assert told in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("told", ["x", "-1", "1.0", "+5", " 5", "٣", "²", "1" * 5000, "99999"])
def test_a_header_that_is_no_length_of_the_json_is_refused(told: str) -> None:
    with pytest.raises(InvalidInput, match="inference-header-content-length: got"):
        oip.decode(message(EIGHT, entry())[0], ONE, told)


def test_a_size_without_the_header_is_refused() -> None:
    text = json.dumps({"inputs": [entry()]}).encode()
    with pytest.raises(InvalidInput, match="send the header inference-header-content-length"):
        oip.decode(text, ONE)


@pytest.mark.parametrize(
    ("tail", "count", "told"),
    [
        (b"\x02\0\0\0a", 1, "element 0 of BYTES needs 2 bytes, and 1 are left"),
        (b"\0\0\0\0\0\0\0\0!", 2, "1 bytes follow the last of 2 elements"),
        (b"\x01\0\0\0a\0\0\0", 2, "element 1 of BYTES needs 4 bytes, and 3 are left"),
        (b"\xff\xff\xff\xff", 1, "element 0 of BYTES needs 4294967295 bytes, and 0 are left"),
        (b"\0\0\0\0", 10**15, "got 4; 1000000000000000 elements of BYTES take at least"),
    ],
)
def test_strings_that_do_not_add_up_are_refused(tail: bytes, count: int, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        binary.array(memoryview(tail), DataType.BYTES, [count], "x")
    assert told in caught.value.message


def test_a_boolean_is_0_or_1() -> None:
    with pytest.raises(InvalidInput, match="x: element 1 is the byte 2; BOOL takes 0 or 1"):
        binary.array(memoryview(b"\x01\x02"), DataType.BOOL, [2], "x")


def answered(call: oip.InferCall, **tensors: Array) -> tuple[dict[str, Any], bytes, Any]:
    """The JSON of an answer, what follows it, and the payload."""
    payload = oip.encode(InferenceResponse("m", "m-00001", "r", tensors=tensors), call)
    length = dict(payload.headers).get(b"inference-header-content-length")
    end = len(payload.body) if length is None else int(length)
    return json.loads(payload.body[:end]), payload.body[end:], payload


def test_outputs_go_out_as_the_client_wants_each() -> None:
    y, z = np.array([[np.nan, 1]], np.float32), np.array([b"\xff"], object)
    asked = [{"name": "z", "parameters": {"binary_data": True}}, {"name": "y"}]
    call = decode(EIGHT, entry(), outputs=asked)
    assert call.outputs == ("z", "y")
    told, tail, payload = answered(call, z=z, y=np.ones((1, 2), np.float32))
    assert payload.content_type == b"application/octet-stream"
    assert tail == b"\x01\0\0\0\xff"
    assert told["outputs"][0] == {
        "name": "z", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5},
    }  # fmt: skip
    assert told["outputs"][1]["data"] == [1.0, 1.0]
    all_binary = decode(EIGHT, entry(), parameters={"binary_data_output": True})
    assert answered(all_binary, y=y, z=z)[1] == y.tobytes() + b"\x01\0\0\0\xff"
    but_one = decode(
        EIGHT, entry(), parameters={"binary_data_output": True},
        outputs=[{"name": "y", "parameters": {"binary_data": False}}],
    )  # fmt: skip
    assert answered(but_one, y=np.ones((1, 2)))[2].content_type == b"application/json"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"parameters": {"binary_data_output": 1}}, "parameters.binary_data_output: got 1; send true"),
        ({"parameters": 7}, "parameters: got 7; send an object"),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": "yes"}}]}, "parameters.binary_data: got"),
        ({"outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "does not speak that extension"),
    ],
)  # fmt: skip
def test_wrong_wishes_for_outputs_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(EIGHT, entry(), **fields)
    assert told in caught.value.message


NUMBERS = [datatype for datatype in DataType if datatype is not DataType.BYTES]
SHAPES = arrays_of.array_shapes(max_dims=4, max_side=4)


@st.composite
def tensors(draw: Any) -> Array:
    """An array of any type and shape; of floats also those that JSON cannot say."""
    datatype, shape = draw(st.sampled_from(list(DataType))), draw(SHAPES)
    if datatype is DataType.BYTES:
        found = np.empty(math.prod(shape), object)
        found[:] = draw(st.lists(st.binary(max_size=9), min_size=found.size, max_size=found.size))
        return found.reshape(shape)
    array: Array = draw(arrays_of.arrays(datatype.numpy, shape))
    return array.T if draw(st.booleans()) else array


@given(tensors())
def test_what_goes_out_as_bytes_comes_in_again(sent: Array) -> None:
    told, tail, _ = answered(oip.InferCall({}, (), None, binary_default=True), x=sent)
    signature = Signature((TensorSpec("x", DataType.of(sent.dtype), (-1,) * sent.ndim),), ())
    back = decode(tail, *told["outputs"], signature=signature).tensors["x"]
    assert back.dtype == sent.dtype
    assert back.shape == sent.shape
    assert binary.dump(back) == binary.dump(sent)


@given(tensors())
def test_what_json_can_say_of_it_comes_in_again(sent: Array) -> None:
    if sent.dtype.kind == "f":
        sent = np.nan_to_num(sent)
    if sent.dtype.kind == "O":
        sent = np.vectorize(lambda value: value.decode("latin-1").encode(), otypes=[object])(sent)
    told, _, _ = answered(oip.InferCall({}, (), None), x=sent)
    signature = Signature((TensorSpec("x", DataType.of(sent.dtype), (-1,) * sent.ndim),), ())
    back = oip.decode(json.dumps({"inputs": told["outputs"]}).encode(), signature).tensors["x"]
    np.testing.assert_array_equal(back, sent)


@pytest.mark.parametrize("datatype", NUMBERS)
def test_a_body_of_the_most_rows_is_within_its_bound(datatype: DataType) -> None:
    signature = Signature(tuple(TensorSpec(f"input-{n}", datatype, (-1, 3)) for n in range(50)), ())
    bound = arrays.largest_body(signature, 100)
    zeros = np.zeros((100, 3), datatype.numpy)
    told, tail, _ = answered(
        oip.InferCall({}, (), None, binary_default=True), **{spec.name: zeros for spec in signature.inputs}
    )
    body, length = message(tail, *told["outputs"])
    assert len(oip.decode(body, signature, length).tensors) == 50
    assert bound is not None
    assert len(body) < bound
