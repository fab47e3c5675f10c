"""Open Inference Protocol requests that are right, and every way in which they are wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, oip

ONE = Signature(
    inputs=(TensorSpec("x", DataType.FP32, (-1, 3)),),
    outputs=(TensorSpec("y", DataType.FP32, (-1, 3)), TensorSpec("z", DataType.INT64, (-1,))),
)


def of(datatype: DataType, shape: tuple[int, ...] = (-1,)) -> Signature:
    return Signature((TensorSpec("x", datatype, shape),), ())


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]} | changes


def decode(signature: Signature = ONE, **changes: Any) -> oip.InferCall:
    return oip.decode(json.dumps({"inputs": [tensor(**changes)]}).encode(), signature)


def test_flat_and_nested_data_mean_the_same() -> None:
    flat, nested = decode().tensors["x"], decode(data=[[1, 2, 3], [4, 5, 6]]).tensors["x"]
    np.testing.assert_array_equal(flat, nested)
    assert flat.dtype == np.float32
    assert flat.shape == (2, 3)


def test_the_id_and_the_wanted_outputs_are_kept() -> None:
    body = {"id": "42", "inputs": [tensor()], "outputs": [{"name": "z"}], "parameters": {"ignored": 1}}
    call = oip.decode(json.dumps(body).encode(), ONE)
    assert (call.id, call.outputs) == ("42", ("z",))


def test_a_byte_order_mark_before_the_json_is_passed_over() -> None:
    text = b"\xef\xbb\xbf" + json.dumps({"inputs": [tensor()]}).encode()
    assert oip.decode(text, ONE).tensors["x"].shape == (2, 3)
    told = tensor(parameters={"binary_data_size": 24})
    del told["data"]
    head = b"\xef\xbb\xbf" + json.dumps({"inputs": [told]}).encode()
    assert oip.decode(head + bytes(24), ONE, str(len(head))).tensors["x"].tolist() == [[0] * 3] * 2


def timed(timeout: Any) -> oip.InferCall:
    return oip.decode(json.dumps({"inputs": [tensor()], "parameters": {"timeout": timeout}}).encode(), ONE)


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(5, 5e-6), (1_500_000, 1.5), (0, None), (None, None), (2**63 - 1, (2**63 - 1) / 1e6)],
)
def test_the_clients_time_is_told_in_microseconds(timeout: Any, seconds: float | None) -> None:
    assert timed(timeout).patience == seconds
    assert decode().patience is None


@pytest.mark.parametrize("timeout", [-1, 1.5, 1.0, 1e30, "5", True, [5], {"ms": 5}])
def test_a_time_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidInput, match=r"parameters\.timeout: got .*; send whole microseconds"):
        timed(timeout)


@pytest.mark.parametrize("datatype", [d for d in DataType if d not in (DataType.BYTES, DataType.BOOL)])
def test_every_number_type_is_decoded(datatype: DataType) -> None:
    array = decode(of(datatype), shape=[2], datatype=datatype, data=[0, 100]).tensors["x"]
    assert array.dtype == datatype.numpy
    assert array.tolist() == [0, 100]


def test_booleans_and_strings_are_decoded() -> None:
    booleans = decode(of(DataType.BOOL), shape=[2], datatype="BOOL", data=[True, False])
    strings = decode(of(DataType.BYTES), shape=[2], datatype="BYTES", data=["é", ""])
    assert booleans.tensors["x"].tolist() == [True, False]
    assert strings.tensors["x"].tolist() == ["é".encode(), b""]


def strings(content_type: Any, *data: Any, datatype: DataType = DataType.BYTES) -> list[Any]:
    told = {"parameters": {"content_type": content_type}, "shape": [len(data)]}
    return decode(of(datatype), datatype=datatype, data=data, **told).tensors["x"].tolist()


def test_strings_are_what_their_content_type_says() -> None:
    assert strings("base64", "/wA=", "") == [b"\xff\0", b""]
    for told in (None, "np", "str", "pd"):
        assert strings(told, "YQ==") == [b"YQ=="]
    raw = {"content_type": "base64", "binary_data_size": 8}
    told = tensor(datatype="BYTES", shape=[1], parameters=raw)
    del told["data"]
    head = json.dumps({"inputs": [told]}).encode()
    found = oip.decode(head + b"\4\0\0\0YQ==", of(DataType.BYTES), str(len(head))).tensors["x"]
    assert found.tolist() == [b"a"]


def test_a_content_type_that_is_not_followed_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r'inputs\[0\]: element 1: got "a!b="; send base64'):
        strings("base64", "YQ==", "a!b=")
    for told in ("hg_json", "pil_image", "datetime", 3, ["np"]):
        with pytest.raises(InvalidInput, match=r"inputs\[0\]\.parameters\.content_type: got .*; send"):
            strings(told, "a")
    with pytest.raises(InvalidInput, match="it goes with the datatype BYTES"):
        strings("base64", 1, datatype=DataType.INT64)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_whole_numbers_keep_every_digit(values: list[int]) -> None:
    call = decode(of(DataType.INT64), shape=[len(values)], datatype="INT64", data=values)
    assert call.tensors["x"].tolist() == values


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_large_unsigned_numbers_keep_every_digit(values: list[int]) -> None:
    call = decode(of(DataType.UINT64), shape=[len(values)], datatype="UINT64", data=values)
    assert call.tensors["x"].tolist() == values


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
                min_size=1, max_size=5))  # fmt: skip
def test_floats_keep_their_value(rows: list[list[float]]) -> None:
    array = decode(shape=[len(rows), 3], data=rows).tensors["x"]
    assert array.tolist() == rows


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such input": ({"name": "q"}, 'inputs[0].name: got "q"; the model takes "x"'),
    "no name": ({"name": None}, "inputs[0].name: got null; send a string"),
    "datatype": ({"datatype": "INT64"}, 'inputs[0].datatype: got "INT64"; the model takes FP32 for "x"'),
    "datatype that is none": ({"datatype": 7}, "inputs[0].datatype: got 7"),
    "negative": ({"shape": [-2, 3]}, "inputs[0].shape: got [-2,3]; the model takes [-1, 3]"),
    "no rows": ({"shape": [0, 3], "data": []}, "inputs[0].shape: got [0,3]"),
    "rank": ({"shape": [6]}, "inputs[0].shape: got [6]; the model takes [-1, 3]"),
    "axis": ({"shape": [3, 2]}, "inputs[0].shape: got [3,2]; the model takes [-1, 3]"),
    "fractional shape": ({"shape": [2.0, 3]}, "inputs[0].shape: got [2.0,3]; send a list of whole numbers"),
    "boolean in shape": ({"shape": [True, 3]}, "inputs[0].shape: got [true,3]"),
    "huge shape": ({"shape": [10**18, 3]}, "inputs[0].data: got 6 elements; shape"),
    "too few": ({"data": [1, 2]}, "inputs[0].data: got 2 elements; shape [2, 3] holds 6 elements"),
    "too many": ({"data": [0] * 7}, "inputs[0].data: got 7 elements"),
    "nested otherwise": ({"data": [[1, 2], [3, 4], [5, 6]]}, "got nested lists of shape [3, 2]"),
    "uneven": ({"data": [[1, 2, 3], [4, 5]]}, "inputs[0].data: lists at depth 1 differ in length"),
    "mixed": ({"data": [[1, 2, 3], 4]}, "inputs[0].data: lists and values are mixed at depth 1"),
    "no list": ({"data": "AAAA"}, 'inputs[0].data: got "AAAA"; send the elements as a JSON list'),
    "string": ({"data": [1, 2, 3, 4, 5, "6"]}, 'inputs[0].data: element 5: got "6"; FP32 takes numbers'),
    "null": ({"data": [1, None, 3, 4, 5, 6]}, "inputs[0].data: element 1: got null"),
    "boolean": ({"data": [True, 2, 3, 4, 5, 6]}, "inputs[0].data: element 0: got true"),
    "object": ({"data": [{}, 2, 3, 4, 5, 6]}, "inputs[0].data: element 0: got {}"),
    "too large": ({"data": [1, -1e39, 3, 4, 5, 6]}, "inputs[0].data: element 1: got -1e+39; FP32 takes"),
    "too deep": ({"data": json.loads("[" * 60 + "]" * 60)}, "inputs[0].data: lists at depth"),
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_tensor_is_refused_by_place_value_and_remedy(changes: tuple[dict[str, Any], str]) -> None:
    wrong, told = changes
    with pytest.raises(InvalidInput) as caught:
        decode(**wrong)
    assert told in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("datatype", "value", "told"),
    [
        ("INT8", 128, "element 1: got 128; INT8 takes whole numbers within -128..127"),
        ("UINT8", -1, "element 1: got -1; UINT8 takes whole numbers within 0..255"),
        ("UINT64", 2**64, "UINT64 takes whole numbers"),
        ("INT64", 1.0, "element 1: got 1.0; INT64 takes whole numbers"),
        ("BOOL", 1, "element 1: got 1; BOOL takes true or false"),
        ("BYTES", 1, "element 1: got 1; BYTES takes strings"),
        ("FP16", 1e6, "element 1: got 1000000.0; FP16 takes numbers up to 65504"),
    ],
)
def test_an_element_that_does_not_fit_its_type_is_named(datatype: str, value: Any, told: str) -> None:
    first: Any = {"BOOL": True, "BYTES": "a"}.get(datatype, 0)
    with pytest.raises(InvalidInput) as caught:
        decode(of(DataType(datatype)), shape=[2], datatype=datatype, data=[first, value])
    assert told in caught.value.message


def test_a_long_string_among_numbers_takes_no_memory_of_its_size_per_element() -> None:
    data: list[Any] = ["x" * 1_000_000] + [0] * 100_000
    with pytest.raises(InvalidInput, match="element 0"):
        decode(shape=[1, 3], data=data)


BODIES = {
    b"": "body: it is empty",
    b"[]": "body: got []; send a JSON object",
    b'{"inputs": [': "body: not valid JSON",
    b'{"inputs": [{"name": "x", "data": [NaN]}]}': "JSON has no NaN and no Infinity",
    b'{"inputs": [{"name": "x", "data": [-Infinity]}]}': "JSON has no NaN and no Infinity",
    b'{"inputs": [{"name": "x", "data": [1e999]}]}': "body: not valid JSON",
    b'\xff{"inputs": 1}': "body: not valid JSON",
    b"{}": "inputs: got null; send a list",
    b'{"inputs": []}': "inputs: got []; send a list with at least one element",
    b'{"inputs": [7]}': "inputs[0]: got 7; send an object",
    b'{"id": 7, "inputs": [{}]}': "id: got 7; send a string",
}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.decode("latin-1")[:40] or "empty")
def test_a_wrong_body_is_refused_with_the_reason(body: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        oip.decode(body, ONE)
    assert BODIES[body] in caught.value.message


def test_an_input_sent_twice_and_one_not_sent_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"inputs\[1\].name: got \"x\"; send each input once"):
        oip.decode(json.dumps({"inputs": [tensor(), tensor()]}).encode(), ONE)
    two = Signature((*ONE.inputs, TensorSpec("mask", DataType.INT64, (-1, 3))), ())
    with pytest.raises(InvalidInput, match='inputs: "mask" missing; the model takes "x", "mask"'):
        oip.decode(json.dumps({"inputs": [tensor()]}).encode(), two)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ([{"name": "q"}], 'outputs[0].name: got "q"; the model gives "y", "z"'),
        ([{"name": "y"}, {"name": "y"}], "outputs[1].name"),
        ([{}], "outputs[0].name: got null"),
        ({"name": "y"}, "outputs: got"),
    ],
)
def test_wanted_outputs_are_checked(outputs: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        oip.decode(json.dumps({"inputs": [tensor()], "outputs": outputs}).encode(), ONE)
    assert told in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON, JSON, JSON)
def test_anything_at_all_is_decoded_or_refused(shape: Any, datatype: Any, data: Any, outputs: Any) -> None:
    inputs = [{"name": "x", "shape": shape, "datatype": datatype, "data": data}]
    body = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    with pytest.raises(InvalidInput):
        oip.decode(body, ONE)


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_without_a_crash(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        oip.decode(body, ONE)


def test_a_body_is_bounded_where_every_axis_but_the_batch_is_fixed() -> None:
    inputs = (TensorSpec("x", DataType.FP64, (-1, 3)), TensorSpec("y", DataType.FP64, (4, 2)))
    bound = arrays.largest_body(Signature(inputs, ()), 1000)
    assert bound is not None
    longest = -1.2345678901234567e-300
    body = {
        "inputs": [
            {"name": "x", "shape": [1000, 3], "datatype": "FP64", "data": [[longest] * 3] * 1000},
            {"name": "y", "shape": [4, 2], "datatype": "FP64", "data": [[longest] * 2] * 4},
        ]
    }
    assert len(json.dumps(body)) < bound < 250_000


@pytest.mark.parametrize(
    "spec", [TensorSpec("x", DataType.INT64, (-1, -1)), TensorSpec("x", DataType.BYTES, (-1, 1))]
)
def test_a_body_with_a_free_axis_or_strings_has_no_bound_of_its_own(spec: TensorSpec) -> None:
    assert arrays.largest_body(Signature((spec,), ()), 8) is None
