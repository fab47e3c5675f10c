"""An input takes ... in every protocol alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.inference import Array, DataType, Signature, Tensors, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.protocol import binary, generate, kserve_v1, oip, oip_grpc, quick
from modelserve.protocol.messages import inference_pb2 as messages

FP32, FP64, INT64, BOOL, BYTES = (
    DataType.FP32,
    DataType.FP64,
    DataType.INT64,
    DataType.BOOL,
    DataType.BYTES,
)
TYPED = {FP32: "fp32_contents", FP64: "fp64_contents", INT64: "int64_contents", BYTES: "bytes_contents"}
AGE = TensorSpec("age", FP64, (-1,), nullable=True)
INCOME = TensorSpec("income", FP64, (-1,), nullable=True, optional=True)
PAIR = TensorSpec("pair", FP32, (-1, 2), nullable=True, optional=True)
TABLE = Signature((AGE, INCOME, PAIR), ())
Sent = dict[str, tuple[DataType, Any]]
"""Datatype and nested elements by name."""
NAN = float("nan")


def v2_json(signature: Signature, sent: Sent) -> Tensors:
    told = [
        {"name": n, "datatype": d, "shape": list(np.shape(v)), "data": np.ravel(np.array(v, object)).tolist()}
        for n, (d, v) in sent.items()
    ]
    return oip.decode(json.dumps({"inputs": told}).encode(), signature).tensors


def v2_nested(signature: Signature, sent: Sent) -> Tensors:
    told = [{"name": n, "datatype": d, "shape": list(np.shape(v)), "data": v} for n, (d, v) in sent.items()]
    return oip.decode(json.dumps({"inputs": told}).encode(), signature).tensors


def raw(kind: DataType, value: Any) -> Array:
    if kind is BYTES:
        return np.array([[each.encode() for each in np.ravel(value)]], object).reshape(np.shape(value))
    return np.array(value, kind.numpy)


def v2_binary(signature: Signature, sent: Sent) -> Tensors:
    told, tail = [], b""
    for name, (kind, value) in sent.items():
        data = binary.dump(raw(kind, value))
        parameters = {"binary_data_size": len(data)}
        told.append(
            {"name": name, "datatype": kind, "shape": list(np.shape(value)), "parameters": parameters}
        )
        tail += data
    text = json.dumps({"inputs": told}).encode()
    return oip.decode(text + tail, signature, str(len(text))).tensors


def grpc_raw(signature: Signature, sent: Sent) -> Tensors:
    request = messages.ModelInferRequest()
    for name, (kind, value) in sent.items():
        request.inputs.add(name=name, datatype=kind, shape=np.shape(value))
        request.raw_input_contents.append(binary.dump(raw(kind, value)))
    return oip_grpc.tensors(request, signature)


def grpc_typed(signature: Signature, sent: Sent) -> Tensors:
    request = messages.ModelInferRequest()
    for name, (kind, value) in sent.items():
        tensor = request.inputs.add(name=name, datatype=kind, shape=np.shape(value))
        getattr(tensor.contents, TYPED[kind]).extend(raw(kind, value).ravel().tolist())
    return oip_grpc.tensors(request, signature)


def v1_columns(signature: Signature, sent: Sent) -> Tensors:
    body = {"inputs": {name: value for name, (_, value) in sent.items()}}
    return kserve_v1.decode_tensors(json.dumps(body).encode(), signature).tensors or {}


def v1_rows(signature: Signature, sent: Sent) -> Tensors:
    count = len(next(iter(sent.values()))[1])
    rows = [{name: value[row] for name, (_, value) in sent.items()} for row in range(count)]
    return kserve_v1.decode_tensors(json.dumps({"instances": rows}).encode(), signature).tensors or {}


BINARY = {"binary": v2_binary, "raw": grpc_raw, "typed": grpc_typed}
JSON = {"json": v2_json, "nested": v2_nested, "columns": v1_columns, "rows": v1_rows}
V2 = {"json": v2_json, **BINARY}
ALL = {**JSON, **BINARY}
Send = Callable[[Signature, Sent], Tensors]


def every(protocols: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("send", protocols.values(), ids=protocols.keys())


@every(ALL)
@pytest.mark.parametrize("kind", [FP32, INT64, BYTES])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_column_where_the_model_wants_a_vector(send: Send, kind: DataType, rows: int) -> None:
    """As in SeldonIO/MLServer#1625: its codecs write a column of n values as [n, 1]."""
    signature = Signature((TensorSpec("x", kind, (-1,)),), ())
    elements = [str(n) for n in range(rows)] if kind is BYTES else [*range(rows)]
    want = raw(kind, elements)
    for sent in (elements, [[element] for element in elements]):
        found = send(signature, {"x": (kind, sent)})["x"]
        assert (found.shape, found.dtype, found.tolist()) == ((rows,), kind.numpy, want.tolist())


@every(ALL)
@pytest.mark.parametrize("shape", [(-1, 1), (3, 1)])
def test_a_vector_where_the_model_wants_a_column(send: Send, shape: tuple[int, ...]) -> None:
    signature = Signature((TensorSpec("x", FP32, shape),), ())
    for sent in ([1, 2, 3], [[1], [2], [3]]):
        assert send(signature, {"x": (FP32, sent)})["x"].tolist() == [[1], [2], [3]]


@every(ALL)
@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ((-1,), [[1, 2]]),
        ((-1,), [[[1]], [[2]]]),
        ((2,), [[1], [2], [3]]),
        ((-1, 1), [[[1]], [[2]]]),
        ((-1, -1), [1, 2]),
        ((-1, 2), [1, 2]),
        ((1, -1), [1, 2]),
        ((-1, 2), [[1], [2]]),
        ((-1, 1, 1), [1, 2]),
    ],
    ids=str,
)
def test_no_other_shape(send: Send, wanted: tuple[int, ...], sent: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(Signature((TensorSpec("x", FP32, wanted),), ()), {"x": (FP32, sent)})
    assert f'the model takes {list(wanted)} for "x"' in caught.value.message
    assert json.dumps(np.shape(sent), separators=(",", ":")) in caught.value.message


@given(
    st.sampled_from([(-1,), (2,), (-1, 1), (3, 1), (-1, -1)]),
    st.lists(st.one_of(st.integers(-1, 3), st.just(True), st.just(1.0)), max_size=3),
    st.integers(1, 4),
)
def test_small_columns_the_quick_way_as_the_careful_way(wanted: Any, shape: Any, count: int) -> None:
    signature = Signature((TensorSpec("x", FP32, wanted),), ())
    entries = [{"name": "x", "datatype": "FP32", "shape": shape, "data": [0.5] * count}]
    found = quick.inputs(entries, signature)
    if found is not None:
        careful = oip._inputs(entries, signature, None)
        assert (found["x"].shape, found["x"].tolist()) == (careful["x"].shape, careful["x"].tolist())


def test_small_columns_the_quick_way() -> None:
    signature = Signature((TensorSpec("x", FP32, (-1,)),), ())
    found = quick.inputs([{"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1, 2]}], signature)
    assert found is not None
    assert found["x"].tolist() == [1, 2]


@every(ALL)
def test_nothing_of_an_optional_column(send: Send) -> None:
    """As in mlflow/mlflow#8438."""
    found = send(TABLE, {"age": (FP64, [1.0, 2.0])})
    assert found["age"].tolist() == [1, 2]
    for name, shape, dtype in (("income", (2,), np.float64), ("pair", (2, 2), np.float32)):
        assert (found[name].shape, found[name].dtype) == (shape, dtype)
        assert np.isnan(found[name]).all()


@every(ALL)
def test_all_of_a_required_column(send: Send) -> None:
    with pytest.raises(InvalidInput, match='"age"') as caught:
        send(TABLE, {"income": (FP64, [1.0, 2.0])})
    assert '"age", and perhaps "income", "pair"' in caught.value.message


@every(ALL)
def test_no_column_that_it_does_not_know(send: Send) -> None:
    """Else a misspelt optional column would be missing without a word."""
    with pytest.raises(InvalidInput, match="incme"):
        send(TABLE, {"age": (FP64, [1.0]), "incme": (FP64, [2.0])})


@every(JSON)
def test_null_for_a_missing_value(send: Send) -> None:
    sent = {
        "age": (FP64, [None, 2.5, 3]),
        "income": (FP64, [7, None, None]),
        "pair": (FP32, [[1, None], [None, None], [2, 3]]),
    }
    found = send(TABLE, sent)
    np.testing.assert_array_equal(found["age"], [NAN, 2.5, 3])
    np.testing.assert_array_equal(found["income"], [7, NAN, NAN])
    np.testing.assert_array_equal(found["pair"], np.array([[1, NAN], [NAN, NAN], [2, 3]], np.float32))
    assert [found[name].dtype for name in ("age", "income", "pair")] == [np.float64, np.float64, np.float32]


@every(JSON)
def test_null_for_all_values(send: Send) -> None:
    found = send(TABLE, {"age": (FP64, [None]), "income": (FP64, [None])})
    assert np.isnan(found["age"]).all()
    assert np.isnan(found["income"]).all()


@every(JSON)
def test_null_in_a_column_of_many_rows(send: Send) -> None:
    sent = [0.5] * 2000 + [None]
    found = send(TABLE, {"age": (FP64, sent), "income": (FP64, [[value] for value in sent])})
    for name in ("age", "income"):
        np.testing.assert_array_equal(found[name], [0.5] * 2000 + [NAN])


@every(BINARY)
def test_nan_for_a_missing_value(send: Send) -> None:
    found = send(TABLE, {"age": (FP64, [1.0, NAN]), "income": (FP64, [NAN, 2.0])})
    np.testing.assert_array_equal(found["age"], [1, NAN])
    np.testing.assert_array_equal(found["income"], [NAN, 2])


@every(JSON)
@pytest.mark.parametrize(
    ("spec", "sent", "told"),
    [
        (TensorSpec("x", FP32, (-1,)), [1, None], "element 1: got null; FP32 takes numbers"),
        (TensorSpec("x", INT64, (-1,)), [1, None], "element 1: got null; INT64 takes whole numbers"),
        (TensorSpec("x", BYTES, (-1,)), ["a", None], "element 1: got null; BYTES takes strings"),
        (AGE, ["1.5", None], 'element 0: got "1.5"; FP64 takes numbers'),
        (AGE, [None, True], "element 1: got true; FP64 takes numbers"),
        (INCOME, [1.5, True], "element 1: got true; FP64 takes numbers"),
        (TensorSpec("age", FP32, (-1,), nullable=True), [None, 1e39], "element 1: got 1e+39; FP32 takes"),
    ],
    ids=str,
)
def test_nothing_else_that_is_no_value(send: Send, spec: TensorSpec, sent: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(Signature((spec,), ()), {spec.name: (spec.datatype, sent)})
    assert told in caught.value.message


@every(V2)
@pytest.mark.parametrize("kind", [INT64, FP32, FP64])
def test_an_optional_column_in_a_narrower_datatype(send: Send, kind: DataType) -> None:
    """A data frame's column without missing values keeps its own datatype."""
    found = send(TABLE, {"age": (FP64, [1.0, 2.0]), "income": (kind, [[3], [4]])})["income"]
    assert (found.dtype, found.tolist()) == (np.float64, [3, 4])


@pytest.mark.parametrize("kind", [BOOL, INT64, DataType.UINT8])
def test_an_optional_column_in_a_narrower_datatype_with_gaps(kind: DataType) -> None:
    value = kind is BOOL or 7
    found = v2_json(TABLE, {"age": (FP64, [1, 2]), "income": (kind, [value, None])})["income"]
    np.testing.assert_array_equal(found, [value, NAN])


@every(BINARY)
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_single_precision_where_the_model_wants_double(send: Send, shape: tuple[int, ...]) -> None:
    signature = Signature((TensorSpec("x", FP64, shape),), ())
    found = send(signature, {"x": (FP32, [[0.7], [2.5]])})["x"]
    assert (found.dtype, found.ravel().tolist()) == (np.float64, [float(np.float32(0.7)), 2.5])


@pytest.mark.parametrize("send", [v2_json, v2_nested])
@pytest.mark.parametrize("nullable", [False, True])
def test_the_numbers_of_json_as_they_are_written(send: Send, nullable: bool) -> None:
    """Single precision has no 0.7, and its neighbour is another number to a model of doubles."""
    signature = Signature((TensorSpec("x", FP64, (-1, 2), nullable=nullable),), ())
    found = send(signature, {"x": (FP32, [[0.7, 16777217]])})["x"]
    assert (found.dtype, found.tolist()) == (np.float64, [[0.7, 16777217]])


@every(V2)
def test_double_precision_where_the_model_wants_single_not(send: Send) -> None:
    with pytest.raises(InvalidInput, match='the model takes FP32 for "x"'):
        send(Signature((TensorSpec("x", FP32, (-1,)),), ()), {"x": (FP64, [0.7])})


@every(V2)
def test_a_required_column_in_no_other_datatype(send: Send) -> None:
    with pytest.raises(InvalidInput, match='the model takes FP64 for "age"'):
        send(TABLE, {"age": (INT64, [1])})


@every(V2)
def test_an_optional_column_in_no_wider_datatype(send: Send) -> None:
    with pytest.raises(InvalidInput, match='the model takes FP32 for "pair"'):
        send(TABLE, {"age": (FP64, [1.0]), "pair": (FP64, [[1.0, 2.0]])})


@pytest.mark.parametrize("send", [v1_rows, v1_columns])
def test_truth_in_an_optional_column_of_a_protocol_without_datatypes(send: Send) -> None:
    found = send(TABLE, {"age": (FP64, [1, 2, 3]), "income": (FP64, [True, False, None])})["income"]
    np.testing.assert_array_equal(found, [1, 0, NAN])


def test_null_for_an_optional_column_of_a_call_by_columns_or_of_a_row() -> None:
    body = {"inputs": {"age": [1, 2], "income": None, "pair": [[1, 2], [3, 4]]}}
    found = kserve_v1.decode_tensors(json.dumps(body).encode(), TABLE).tensors or {}
    assert np.isnan(found["income"]).all()
    rows = {"instances": [{"age": 1, "pair": None}, {"age": 2, "income": 3, "pair": [4, None]}]}
    found = kserve_v1.decode_tensors(json.dumps(rows).encode(), TABLE).tensors or {}
    np.testing.assert_array_equal(found["income"], [NAN, 3])
    np.testing.assert_array_equal(found["pair"], [[NAN, NAN], [4, NAN]])


def test_rows_without_any_column_where_all_are_optional() -> None:
    signature = Signature((INCOME, PAIR), ())
    found = kserve_v1.decode_tensors(b'{"instances": [{}, {}]}', signature).tensors or {}
    assert (found["income"].shape, found["pair"].shape) == ((2,), (2, 2))
    with pytest.raises(InvalidInput, match="all are left out; send at least one"):
        kserve_v1.decode_tensors(b'{"inputs": {}}', signature)
    with pytest.raises(InvalidInput, match="inputs"):
        oip.decode(b'{"inputs": []}', signature)


def test_one_row_of_plain_fields_with_what_is_missing() -> None:
    found = generate.decode(b'{"age": null, "pair": [1, null]}', TABLE).tensors
    assert np.isnan(found["age"]).tolist() == [True]
    assert np.isnan(found["income"]).tolist() == [True]
    np.testing.assert_array_equal(found["pair"], [[1, NAN]])
    assert generate.decode(b'{"age": [1], "pair": null}', TABLE).tensors["age"].tolist() == [1]
    with pytest.raises(InvalidInput, match="age: is missing"):
        generate.decode(b'{"income": 1}', TABLE)


def test_what_it_needs_and_what_it_does_without_is_told_apart() -> None:
    with pytest.raises(InvalidInput, match='exactly "age", and perhaps "income", "pair"'):
        kserve_v1.decode_tensors(b'{"instances": [{"income": 1}]}', TABLE)
