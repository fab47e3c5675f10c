"""Lists of JSON numbers to arrays and back, with every element's type looked at.

numpy alone would turn ``true`` into 1, ``"1.5"`` into 1.5 and a list that holds one long string into
gigabytes; so the types are checked before numpy sees the values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
import orjson

from modelserve.domain.inference import Array, DataType, Signature, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed
from modelserve.protocol import regular
from modelserve.protocol.values import got

MAX_RANK = 32
ELEMENT_BYTES = 32
"""JSON of one number with what stands around it, at most; 17 digits with sign and exponent take 24."""
FRAME_BYTES = 64 * 1024
"""JSON of all that is not elements: names, shapes, an id, parameters."""
_FLOATS = (DataType.FP16, DataType.FP32, DataType.FP64)


def array(data: list[Any], datatype: DataType, place: str) -> Array:
    """An array from a list of JSON values, nested or flat, in the shape in which it is nested.

    Raises InvalidInput for uneven nesting, an element of another type and a number out of range.
    """
    quick = regular.read(data, MAX_RANK)
    if quick is not None and (cast := _cast(quick, datatype)) is not None:
        return cast
    flat, shape, kinds = _flatten(data, place)
    if kinds and not kinds <= _ALLOWED[datatype]:
        raise _wrong_type(flat, datatype, place)
    return _convert(flat, datatype, place).reshape(shape)


def array_and_gaps(
    data: list[Any], datatype: DataType, place: str, booleans: bool = False
) -> tuple[Array, list[int]]:
    """As :func:`array`, with null allowed: where it stands (in row-major order) is told beside the array.

    ``booleans``: whether true and false, with nothing else, may stand for 1 and 0.
    """
    quick = regular.read(data, MAX_RANK)
    if quick is not None and (cast := _cast(quick, datatype)) is not None:
        return cast, []
    flat, shape, kinds = _flatten(data, place)
    gaps = [index for index, value in enumerate(flat) if value is None] if NoneType in kinds else []
    told = kinds - {NoneType}
    if booleans and told == {bool}:
        datatype = DataType.BOOL
    if not told <= _ALLOWED[datatype]:
        raise _wrong_type(flat, datatype, place, NoneType)
    filled = [0 if value is None else value for value in flat] if gaps else flat
    return _convert(filled, datatype, place).reshape(shape), gaps


def _cast(data: Array, datatype: DataType) -> Array | None:
    """Whole numbers or floats as the type; None where it takes other elements or one is out of range."""
    if datatype in _FLOATS:
        return _fitting(data, datatype)
    if data.dtype.kind != "i" or datatype in (DataType.BOOL, DataType.BYTES):
        return None
    low, high = _bounds(datatype)
    return data.astype(datatype.numpy) if low <= data.min() and data.max() <= high else None


def _fitting(data: Array, datatype: DataType) -> Array | None:
    """Finite numbers as floats of the type; None where one becomes infinite."""
    with np.errstate(over="ignore"):
        floats = data.astype(datatype.numpy)
    return floats if np.isfinite(floats).all() else None


def shaped(data: Array, shape: Sequence[int], place: str) -> Array:
    """The array in its declared shape; the data came flat or nested exactly so. Raises InvalidInput."""
    if data.shape == tuple(shape):
        return data
    wanted = math.prod(shape)
    if data.ndim == 1 and data.size == wanted:
        return data.reshape(shape)
    found = f"{data.size} elements" if data.ndim == 1 else f"nested lists of shape {list(data.shape)}"
    raise InvalidInput(f"{place}: got {found}; shape {list(shape)} holds {wanted} elements")


def largest_body(signature: Signature, max_rows: int) -> int | None:
    """Bytes of JSON that ``max_rows`` rows can take; None where an input has strings or a free axis."""
    size = FRAME_BYTES
    for spec in signature.inputs:
        if spec.datatype is DataType.BYTES or -1 in spec.shape[1:]:
            return None
        rows = max_rows if spec.shape[:1] == (-1,) else math.prod(spec.shape[:1])
        size += rows * (math.prod(spec.shape[1:]) * ELEMENT_BYTES + len(spec.name.encode()) + ELEMENT_BYTES)
    return size


def check_shape(shape: Sequence[int], spec: TensorSpec, place: str) -> None:
    """Raise InvalidInput unless ``shape`` fits the spec, where -1 fits any length of at least 1."""
    if not fits(shape, spec):
        raise misfit(shape, spec, place)


def fits(shape: Sequence[int], spec: TensorSpec) -> bool:
    """Whether -1, which stands for any length of at least 1, and equal lengths are all that there is."""
    if len(shape) != len(spec.shape):
        return False
    for length, wanted in zip(shape, spec.shape, strict=True):
        if length < 1 or wanted not in (-1, length):
            return False
    return True


def misfit(shape: Sequence[int], spec: TensorSpec, place: str) -> InvalidInput:
    """The error for a shape that does not fit."""
    wanted = f'the model takes {list(spec.shape)} for "{spec.name}"'
    return got(place, list(shape), f"{wanted}, where -1 is any length of at least 1")


def _flatten(data: list[Any], place: str) -> tuple[list[Any], tuple[int, ...], set[type]]:
    """The leaves in row-major order, the shape of the nesting, and the types among the leaves."""
    shape = [len(data)]
    level: list[Any] = data
    kinds: set[type] = set(map(type, level))
    while kinds == {list}:
        lengths = set(map(len, level))
        if len(lengths) > 1 or len(shape) == MAX_RANK:
            raise InvalidInput(f"{place}: lists at depth {len(shape)} differ in length; nest them evenly")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
        kinds = set(map(type, level))
    if list in kinds:
        raise InvalidInput(f"{place}: lists and values are mixed at depth {len(shape)}; nest them evenly")
    return level, tuple(shape), kinds


_ALLOWED: dict[DataType, set[type]] = {
    **{datatype: {int} for datatype in DataType},
    **{datatype: {int, float} for datatype in _FLOATS},
    DataType.BOOL: {bool},
    DataType.BYTES: {str, bytes},
}
_WANTED = {
    DataType.BOOL: "true or false",
    DataType.BYTES: "strings",
    **dict.fromkeys(_FLOATS, "numbers"),
}


def _wrong_type(flat: list[Any], datatype: DataType, place: str, *more: type) -> InvalidInput:
    allowed = _ALLOWED[datatype] | {*more}
    index = next(i for i, value in enumerate(flat) if type(value) not in allowed)
    wanted = _WANTED.get(datatype) or f"whole numbers within {_range(datatype)}"
    return got(f"{place}: element {index}", flat[index], f"{datatype} takes {wanted}")


def _convert(flat: list[Any], datatype: DataType, place: str) -> Array:
    if datatype is DataType.BYTES:
        strings = np.empty(len(flat), dtype=np.object_)
        strings[:] = [value.encode() if isinstance(value, str) else value for value in flat]
        return strings
    if datatype in _FLOATS:
        return _floats(np.frombuffer(struct.pack(f"{len(flat)}d", *flat)), datatype, place)
    try:
        return np.array(flat, dtype=datatype.numpy)
    except OverflowError:
        low, high = _bounds(datatype)
        index = next(i for i, value in enumerate(flat) if not low <= value <= high)
        wanted = f"{datatype} takes whole numbers within {_range(datatype)}"
        raise got(f"{place}: element {index}", flat[index], wanted) from None


def _floats(data: Array, datatype: DataType, place: str) -> Array:
    floats = _fitting(data, datatype)
    if floats is None:
        index = int(np.abs(data).argmax())
        wanted = f"{datatype} takes numbers up to {float(np.finfo(datatype.numpy).max):.6g}"
        raise got(f"{place}: element {index}", float(data[index]), wanted)
    return floats


def _bounds(datatype: DataType) -> tuple[int, int]:
    info = np.iinfo(datatype.numpy)
    return int(info.min), int(info.max)


def _range(datatype: DataType) -> str:
    low, high = _bounds(datatype)
    return f"{low}..{high}"


_ASK = "; ask for it at /v2 as binary data"


def sayable(data: Array, name: str) -> Array:
    """The array as ``orjson`` can write it: contiguous, strings decoded. ``name`` is the output's.

    Raises ModelFailed for NaN, infinity and bytes that are no UTF-8: JSON can say none of them.
    """
    if data.dtype.kind == "f":
        if not np.isfinite(data).all():
            raise ModelFailed(f'output "{name}": the model gave NaN or infinity, which JSON cannot say{_ASK}')
    elif data.dtype.kind == "O":
        return np.array([_decoded(value, name) for value in data.ravel()], dtype=object).reshape(data.shape)
    return np.ascontiguousarray(data).reshape(data.shape)


def listed(data: Array, name: str) -> Any:
    """The elements in row-major order as ``orjson`` writes them: NaN and infinity as null.

    Raises ModelFailed for bytes that are no UTF-8.
    """
    if data.dtype.kind == "O":
        return sayable(data, name).reshape(-1).tolist()
    return np.ascontiguousarray(data).reshape(-1)


def _decoded(value: object, name: str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise ModelFailed(f'output "{name}": the model gave bytes that are not UTF-8{_ASK}') from None


def named_type(data: Array, name: str) -> DataType:
    """The protocol's name of an output's type. Raises ModelFailed for one that it lacks."""
    try:
        return DataType.of(data.dtype)
    except KeyError:
        raise ModelFailed(f'output "{name}": the protocol has no name for {data.dtype}') from None


def json_list(data: Array) -> Any:
    """What ``orjson`` takes for an array: itself, or a list of strings, or a scalar."""
    return data if data.ndim and data.dtype.kind != "O" else data.tolist()


def dump(value: object) -> bytes:
    """JSON bytes of plain values and arrays."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
