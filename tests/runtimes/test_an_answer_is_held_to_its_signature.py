"""What a model answers is held to the datatypes of its signature, and no value becomes another."""

import warnings

import numpy as np
import pytest

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.errors import ModelFailed
from modelserve.runtimes.plain import PlainModel


def answer(datatype, *values):
    """The output of a model that gives these values where the datatype is declared."""
    spec = TensorSpec("y", datatype, (-1,))
    model = PlainModel(Signature((), (spec,)), lambda tensors, wanted: [np.array(values[0], *values[1:])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model.predict({})["y"]


@pytest.mark.parametrize(
    ("datatype", "values", "kind", "told"),
    [
        (DataType.INT32, [1, 5_000_000_000], np.int64, "5000000000 as int64, which INT32"),
        (DataType.INT8, [-129, 3], np.int16, "-129 as int16, which INT8"),
        (DataType.UINT32, [2**32], np.uint64, "4294967296 as uint64, which UINT32"),
        (DataType.INT64, [2**63], np.uint64, "9223372036854775808 as uint64, which INT64"),
        (DataType.FP32, [0.5, -5e39], np.float64, "-5e+39 as float64, which FP32"),
        (DataType.FP16, [np.inf, 70_000], np.float32, "70000.0 as float32, which FP16"),
        (DataType.FP16, [70_000], np.int64, "70000 as int64, which FP16"),
    ],
)
def test_a_value_that_does_not_fit_fails(datatype, values, kind, told):
    with pytest.raises(ModelFailed) as caught:
        answer(datatype, values, kind)
    assert caught.value.message == (
        f"output 'y': the model gave {told} can't hold; declare a wider datatype for it"
    )


@pytest.mark.parametrize(
    ("datatype", "values", "kind"),
    [
        (DataType.INT32, [-(2**31), 2**31 - 1], np.int64),
        (DataType.INT32, [], np.int64),
        (DataType.FP32, [np.inf, -np.inf, np.nan, 3.4e38, 0.1], np.float64),
        (DataType.FP32, [2**24 + 1], np.int64),
        (DataType.FP64, [1, 2], np.int32),
        (DataType.FP32, [True], np.bool_),
    ],
)
def test_values_that_fit_are_held(datatype, values, kind):
    held = answer(datatype, values, kind)
    assert held.dtype == datatype.numpy
    np.testing.assert_array_equal(held, np.array(values, kind).astype(datatype.numpy))


def test_another_kind_of_number_fails():
    with pytest.raises(ModelFailed, match="output 'y': the model gave float32, not INT64"):
        answer(DataType.INT64, [0.5], np.float32)
