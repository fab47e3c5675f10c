"""The quick way of small tensors gives what the careful way gives, or gives way to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.protocol import oip, quick

TYPES = [
    DataType.FP32,
    DataType.FP64,
    DataType.INT64,
    DataType.INT8,
    DataType.UINT8,
    DataType.FP16,
    DataType.BOOL,
]
elements = st.one_of(
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=2),
    st.integers(-9, 9),
)


def signature(datatype: DataType, shape: tuple[int, ...] = (-1, 2)) -> Signature:
    return Signature((TensorSpec("x", datatype, shape),), ())


def entry(datatype: str, shape: Any, data: Any, **more: Any) -> dict[str, Any]:
    return {"name": "x", "shape": shape, "datatype": datatype, "data": data, **more}


@given(
    st.sampled_from(TYPES),
    st.lists(st.one_of(st.integers(-1, 3), st.booleans()), max_size=3),
    st.one_of(st.lists(elements, max_size=7), st.lists(st.integers(0, 5), max_size=7), st.none()),
)
def test_whatever_it_reads_the_careful_way_reads_alike(datatype: DataType, shape: Any, data: Any) -> None:
    for wanted in {datatype, DataType.FP64 if datatype is DataType.FP32 else datatype}:
        _compare([entry(datatype, shape, data)], signature(wanted))


def _compare(entries: list[Any], wanted: Signature) -> None:
    found = quick.inputs(entries, wanted)
    if found is None:
        return
    careful = oip._inputs(entries, wanted, None)
    assert found["x"].dtype == careful["x"].dtype
    np.testing.assert_array_equal(found["x"], careful["x"])


@pytest.mark.parametrize("datatype", [DataType.FP32, DataType.INT64, DataType.UINT8])
def test_what_most_clients_send_is_read_here(datatype: DataType) -> None:
    found = quick.inputs([entry(datatype, [2, 2], [1, 2, 3, 4])], signature(datatype))
    assert found is not None
    assert found["x"].tolist() == [[1, 2], [3, 4]]
    assert found["x"].dtype == datatype.numpy


def test_single_precision_for_a_model_of_double_precision_is_read_here() -> None:
    found = quick.inputs([entry("FP32", [1, 2], [0.7, 16777217])], signature(DataType.FP64))
    assert found is not None
    assert found["x"].tolist() == [[0.7, 16777217]]
    assert quick.inputs([entry("FP64", [1, 2], [1, 2])], signature(DataType.FP32)) is None


@pytest.mark.parametrize(
    "odd",
    [
        [],
        None,
        [entry("FP32", [1, 2], [[1, 2]])],
        [entry("FP32", [-1, 2], [1, 2])],
        [entry("FP32", [True, 2], [1, 2])],
        [entry("FP32", [1, 2], [1, True])],
        [entry("FP32", [1, 2], [1, 1e39])],
        [entry("FP32", [1, 2], [1, 2], parameters={})],
        [entry("FP32", [1, 2], [1, 2])] * 2,
        ["x"],
    ],
)
def test_what_is_odd_is_left_to_the_careful_way(odd: Any) -> None:
    assert quick.inputs(odd, signature(DataType.FP32)) is None


def test_an_output_that_json_cannot_say_is_still_refused() -> None:
    from modelserve.domain.inference import InferenceResponse
    from modelserve.errors import ModelFailed

    call = oip.InferCall({}, (), None)
    for value, name in ((np.nan, "y"), (np.inf, "y")):
        with pytest.raises(ModelFailed, match="NaN or infinity"):
            oip.encode(InferenceResponse("m", "1", "r", {name: np.array([value], np.float32)}), call)
    fine = InferenceResponse("null", "1", "r", {"null": np.array([1.0], np.float32)})
    assert b'"data":[1.0]' in oip.encode(fine, call).body
    with pytest.raises(InvalidInput):
        oip.decode(
            b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}', signature(DataType.FP32)
        )
