"""Small tensors as most clients send them, read with few checks; what is odd is left to a closer look.

The inputs come in the model's order, each with a flat list of numbers and nothing beside name, shape,
datatype and data. What is read here the careful way reads alike: a test compares them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelserve.domain.inference import Array, DataType, Signature, Tensors, TensorSpec

SMALL = 512
"""Elements of a list up to which this is the faster way."""
_NUMBERS = {int, float}
_INTS = {int}
_DTYPES = {datatype: datatype.numpy for datatype in DataType}
_LARGEST = {DataType.FP32: float(np.finfo(np.float32).max), DataType.FP64: float(np.finfo(np.float64).max)}
_WHOLE = {DataType.INT64, DataType.INT32, DataType.INT16, DataType.INT8, DataType.UINT8}


def inputs(entries: object, signature: Signature) -> Tensors | None:
    """The tensors, or None: look closer."""
    specs = signature.inputs
    if type(entries) is not list or len(entries) != len(specs):
        return None
    found: Tensors = {}
    for entry, spec in zip(entries, specs, strict=True):
        array = _tensor(entry, spec) if type(entry) is dict else None
        if array is None:
            return None
        found[spec.name] = array
    return found


def _tensor(entry: dict[str, Any], spec: TensorSpec) -> Array | None:
    if len(entry) != 4 or entry.get("name") != spec.name or not _takes(entry.get("datatype"), spec.datatype):
        return None
    shape, data = entry.get("shape"), entry.get("data")
    if type(data) is not list or not 0 < len(data) <= SMALL or not _fits(shape, spec.shape, len(data)):
        return None
    array = _array(data, spec.datatype)
    return array if array is None or len(spec.shape) == 1 else array.reshape(shape)


def _takes(told: object, wanted: DataType) -> bool:
    return told == wanted or (wanted is DataType.FP64 and told == DataType.FP32)


def _fits(shape: object, wanted: tuple[int, ...], size: int) -> bool:
    if type(shape) is not list:
        return False
    if len(shape) != len(wanted):
        return (
            len(wanted) == 1
            and len(shape) == 2
            and shape[1] == 1
            and type(shape[1]) is int
            and _fits(shape[:1], wanted, size)
        )
    elements = 1
    for length, axis in zip(shape, wanted, strict=True):
        if type(length) is not int or length < 1 or (axis != length and axis != -1):
            return False
        elements *= length
    return elements == size


def _array(data: list[Any], datatype: DataType) -> Array | None:
    kinds = set(map(type, data))
    largest = _LARGEST.get(datatype)
    if largest is not None:
        if not kinds <= _NUMBERS or max(data) > largest or min(data) < -largest:
            return None
    elif kinds != _INTS or datatype not in _WHOLE:
        return None
    try:
        return np.array(data, _DTYPES[datatype])
    except OverflowError:
        return None
