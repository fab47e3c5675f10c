"""Requests and answers, as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from modelserve.client import BadAnswer, tensors
from modelserve.domain.inference import DataType
from modelserve.errors import InvalidInput
from modelserve.protocol.binary import HEADER, split

NUMBERS = [each.numpy for each in DataType if each is not DataType.BYTES]


def returned(inputs: dict[str, Any], *, binary: bool) -> dict[str, Any]:
    """What a server that gives back its inputs would answer."""
    body, headers = tensors.encode(inputs, (), as_bytes=binary)
    _, tail = split(body, headers.get(HEADER, ""))
    length = int(headers.get(HEADER, len(body)))
    return tensors.named(orjson.loads(body[:length])["inputs"], "inputs", tail)


@given(st.data(), st.booleans())
def test_numbers_come_back_as_they_went(data: st.DataObject, binary: bool) -> None:
    dtype = data.draw(st.sampled_from(NUMBERS))
    finite = {"allow_nan": binary, "allow_infinity": binary} if dtype.kind == "f" else {}
    shape = arrays_of.array_shapes(min_dims=1, max_dims=3, max_side=4)
    array = data.draw(arrays_of.arrays(dtype, shape, elements=finite))
    back = returned({"x": array}, binary=binary)["x"]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.text(), min_size=1), st.booleans())
def test_strings_come_back_as_bytes(texts: list[str], binary: bool) -> None:
    given_ = np.empty(len(texts), object)
    given_[:] = texts
    assert returned({"x": given_}, binary=binary)["x"].tolist() == [text.encode() for text in texts]


@pytest.mark.parametrize("binary", [True, False])
def test_several_tensors_keep_their_names_and_order(binary: bool) -> None:
    given_ = {
        "a": np.array(["x", "yz"]),
        "b": np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2],
        "c": [[True, False]],
        "d": np.array([b"\x00", b"12"]),
    }
    back = returned(given_, binary=binary)
    assert list(back) == ["a", "b", "c", "d"]
    assert back["a"].tolist() == [b"x", b"yz"]
    assert (back["b"].dtype, back["b"].tolist()) == (np.dtype(np.int32), [[0, 2], [3, 5]])
    assert back["c"].tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.array([1j]), "complex"),
        (np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
        (np.array([{}, 3], object), "dict"),
        (np.array([np.nan]), "NaN"),
        (np.array([b"\xff"], object), "UTF-8"),
        ([[1], [2, 3]], "list"),
    ],
)
def test_what_the_protocol_cannot_say_is_refused(value: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        tensors.encode({"x": value}, (), as_bytes=False)


def test_arrays_that_come_back_may_be_changed() -> None:
    for binary in (True, False):
        back = returned({"x": np.zeros(3)}, binary=binary)["x"]
        back[0] = 1


@given(st.binary(max_size=40), st.integers(-2, 60), st.sampled_from(list(DataType)))
def test_an_answer_of_the_wrong_size_is_a_bad_answer(blob: bytes, size: int, datatype: DataType) -> None:
    entry = {"name": "y", "datatype": datatype, "shape": [3], "parameters": {"binary_data_size": size}}
    text = orjson.dumps({"outputs": [entry]})
    try:
        _, found = tensors.decode(text + blob, str(len(text)))
    except BadAnswer:
        return
    assert found["y"].shape == (3,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 1},
        {"datatype": "FP31"},
        {"datatype": None},
        {"shape": [-1]},
        {"shape": 2},
        {"shape": [3]},
        {"data": 1},
        {"data": ["a", "b"]},
        {"data": None, "parameters": {"binary_data_size": 8}},
    ],
)
def test_an_answer_that_is_not_as_the_protocol_says_is_a_bad_answer(wrong: Any) -> None:
    entry = {"name": "y", "datatype": "FP32", "shape": [2], "data": [1, 2]} | wrong
    with pytest.raises(BadAnswer, match=r"outputs\[0\]"):
        tensors.decode(orjson.dumps({"outputs": [entry]}), "")


@pytest.mark.parametrize("told", ["x", "99", "-1"])
def test_a_head_of_an_impossible_length_is_a_bad_answer(told: str) -> None:
    with pytest.raises(BadAnswer):
        tensors.decode(b'{"outputs": []}', told)
