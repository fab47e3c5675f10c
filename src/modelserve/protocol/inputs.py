"""What a model's input takes beyond its own datatype and shape, in every protocol alike.

*A vector takes a column*: an input of shape ``[n]`` may come as ``[n, 1]``, and one of ``[n, 1]`` as ``[n]``:
the same elements in the same order; MLServer's clients write columns so. *Strings may be base64* where
the tensor's parameter ``content_type`` says so, as MLServer's clients do. *Values may be missing* where
the signature says so: null in JSON, NaN for the model. *An optional input* may be left out, as if all of its
values were missing; it may also come in a narrower datatype, as a column without missing values does.
*FP64 takes FP32*, which it holds exactly; from JSON it takes the numbers as they are written.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from modelserve.domain.inference import Array, DataType, Tensors, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, values

_AS_IT_IS = (None, "", "np", "str", "pd")
"""Content types of MLServer that say of a tensor what is done with it anyway."""
_KINDS = {datatype.value: datatype for datatype in DataType}


def fitted(shape: Sequence[int], spec: TensorSpec, place: str) -> Sequence[int]:
    """The shape in which the model gets what a client sent in ``shape``. Raises InvalidInput."""
    if arrays.fits(shape, spec):
        return shape
    turned = _turned(shape, spec.shape)
    if turned is shape or not arrays.fits(turned, spec):
        raise arrays.misfit(shape, spec, place)
    return turned


def _turned(shape: Sequence[int], wanted: Sequence[int]) -> Sequence[int]:
    if len(wanted) == 1 and len(shape) == 2 and shape[1] == 1:
        return shape[:1]
    if len(shape) == 1 and len(wanted) == 2 and wanted[1] == 1:
        return [*shape, 1]
    return shape


def datatype(told: object, spec: TensorSpec, place: str) -> DataType:
    """The datatype in which an input comes. Raises InvalidInput for one that the model does not take."""
    if told == spec.datatype:
        return spec.datatype
    narrow = _KINDS.get(told) if isinstance(told, str) else None
    if narrow is DataType.FP32 and spec.datatype is DataType.FP64:
        return narrow
    if narrow is None or not spec.optional or not np.can_cast(narrow.numpy, spec.datatype.numpy):
        raise values.got(place, told, f'the model takes {spec.datatype} for "{spec.name}"')
    return narrow


def given(data: Array, kind: DataType, shape: Sequence[int], spec: TensorSpec) -> Array:
    """The array as the model gets it: it came as ``kind``, in a shape that is :func:`fitted` to ``shape``."""
    if kind is not spec.datatype:
        data = data.astype(spec.datatype.numpy)
    return data if len(data.shape) == len(shape) else data.reshape(shape)


def meant(data: Array, content_type: object, place: str) -> Array:
    """What a tensor means that came with this ``content_type`` of MLServer. Raises InvalidInput for one that
    is not followed, and for elements that are not of it.

    Source: https://mlserver.readthedocs.io, "Content Types (and Codecs)".
    """
    if content_type in _AS_IT_IS:
        return data
    where = f"{place}.parameters.content_type"
    if content_type != "base64":
        raise values.got(where, content_type, 'send "np", "str", "pd" or "base64", or leave it out')
    if data.dtype.kind != "O":
        raise values.got(where, content_type, "it goes with the datatype BYTES")
    found = np.empty(data.size, np.object_)
    for index, element in enumerate(data.ravel().tolist()):
        found[index] = _from_base64(element, f"{place}: element {index}")
    return cast("Array", found.reshape(data.shape))


def _from_base64(element: bytes, place: str) -> bytes:
    try:
        return base64.b64decode(element, validate=True)
    except binascii.Error as error:
        shown = element[: values.SHOWN + 1].decode(errors="replace")
        told = f"send base64, as content_type says: {error}"
        raise values.got(place, shown, told) from None


def array(data: list[Any], spec: TensorSpec, place: str, kind: DataType | None = None) -> Array:
    """An array from JSON, with NaN for null where values may be missing. ``kind``: in which datatype it came,
    where that is told; in an optional input without one, true and false are 1 and 0.

    Raises InvalidInput as :func:`arrays.array` does.
    """
    if not spec.nullable:
        return arrays.array(data, spec.datatype, place)
    if kind is DataType.FP32:
        kind = spec.datatype  # what single precision would make of 0.7 is not what was written
    booleans = spec.optional and kind is None
    found, gaps = arrays.array_and_gaps(data, kind or spec.datatype, place, booleans)
    found = found.astype(spec.datatype.numpy, copy=False)
    if gaps:
        found.reshape(-1)[gaps] = np.nan
    return found


def whole(found: Tensors, specs: Sequence[TensorSpec]) -> Tensors:
    """The inputs, with NaN in those that were left out and may be. Raises InvalidInput for others."""
    absent = [spec for spec in specs if spec.name not in found]
    if needed := [spec.name for spec in absent if not spec.optional]:
        raise InvalidInput(f"inputs: {values.listing(needed)} missing; the model takes {told(specs)}")
    if not found:
        raise InvalidInput("inputs: all are left out; send at least one, which tells the number of rows")
    rows = len(next(iter(found.values())))
    return found | {spec.name: missing(rows, spec) for spec in absent}


def told(specs: Sequence[TensorSpec]) -> str:
    """The names, for an error: ``"age", and perhaps "income"``, which may be left out."""
    optional = values.listing(spec.name for spec in specs if spec.optional)
    required = values.listing(spec.name for spec in specs if not spec.optional)
    return ", and perhaps ".join(filter(None, (required, optional)))


def missing(rows: int, spec: TensorSpec) -> Array:
    """An optional input that was left out."""
    first = rows if spec.shape[0] == -1 else spec.shape[0]
    return np.full((first, *spec.shape[1:]), np.nan, spec.datatype.numpy)
