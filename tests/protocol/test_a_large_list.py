"""A large list of numbers is read in one pass, and means the same as when it is read with care."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.inference import DataType
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, regular

N = 600


def careful(data: list[Any], datatype: DataType, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as without:
        without.setattr(regular, "read", lambda data, max_rank: None)
        return outcome(data, datatype)


def outcome(data: list[Any], datatype: DataType) -> Any:
    try:
        array = arrays.array(data, datatype, "x")
    except InvalidInput as error:
        return error.message
    assert array.flags.c_contiguous
    return array.dtype, array.shape, array.tobytes()


def nested(flat: list[Any]) -> list[Any]:
    """In the shape [2, 3, 100]."""
    return [[flat[100 * (3 * i + j) :][:100] for j in range(3)] for i in range(2)]


CASES: dict[str, list[Any]] = {
    "floats": [n * 0.1 for n in range(N)],
    "whole numbers": list(range(N)),
    "negative ones": [-n for n in range(N)],
    "ones beyond 32 bits": [2**40 + n for n in range(N)],
    "one beyond 32 bits": [0] * (N - 1) + [2**31],
    "floats and whole numbers": [0.5, 1] * (N // 2),
    "a boolean": [0.5] * (N - 1) + [True],
    "a boolean among whole numbers": [1] * (N - 1) + [True],
    "a string": [0.5] * (N - 1) + ["8bytes.."],
    "null": [0.5] * (N - 1) + [None],
    "an object": [0.5] * (N - 1) + [{}],
    "beyond FP16": [0.5] * (N - 1) + [7e4],
    "beyond FP32": [0.5] * (N - 1) + [-1e39],
    "booleans": [True, False] * (N // 2),
    "strings": ["a"] * N,
}


@pytest.mark.parametrize("datatype", list(DataType))
@pytest.mark.parametrize("data", CASES.values(), ids=CASES.keys())
def test_it_means_the_same_as_a_small_one(
    data: list[Any], datatype: DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (data, nested(data)):
        assert outcome(each, datatype) == careful(each, datatype, monkeypatch)


def test_floats_and_whole_numbers_take_the_quick_way() -> None:
    for data in (CASES["floats"], CASES["whole numbers"]):
        for each in (data, nested(data)):
            found = regular.read(each, arrays.MAX_RANK)
            assert found is not None
            assert found.tolist() == each


@pytest.mark.parametrize(
    "data",
    [
        [[0.5] * 300, [0.5] * 301],
        [[0.5] * 300, [0.5] * 299 + [[0.5]]],
        [[0.5] * 300, 0.5],
        [[0.5] * 300, []],
        [[], [0.5] * 600],
        [0.5] * 600 + [[0.5]],
        json.loads("[" * 100 + ",".join(["0.5"] * N) + "]" * 100),
        # As many bytes as six lists of 100, were it not for the tags: a float and a list of none take 9 + 5.
        [[0.5] * 300, [*[0.5] * 295, *[[]] * 9]],
    ],
)
def test_uneven_lists_are_refused_as_small_ones_are(data: list[Any]) -> None:
    assert regular.read(data, arrays.MAX_RANK) is None
    with pytest.raises(InvalidInput, match="x: lists"):
        arrays.array(data, DataType.FP64, "x")


@given(st.integers(1, 5), st.integers(1, 400), st.sampled_from([float, int]), st.randoms())
def test_any_shape_is_read(rows: int, columns: int, kind: type, random: Any) -> None:
    one = random.random if kind is float else lambda: random.randrange(-(2**31), 2**31)
    data = [[[one()] for _ in range(columns)] for _ in range(rows)]
    array = arrays.array(data, DataType.FP64, "x")
    np.testing.assert_array_equal(array, np.array(data, np.float64))
