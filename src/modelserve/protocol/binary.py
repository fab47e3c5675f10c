"""The binary tensor data extension: tensors as raw bytes behind the JSON of an OIP message.

A message is JSON of the length that the header ``Inference-Header-Content-Length`` tells, then the tensors in
the order in which the JSON names them, each with its size in ``parameters.binary_data_size``. Elements are
little-endian and in row-major order; BOOL is one byte, 0 or 1; BYTES is, for each element, its length in four
bytes and then the bytes themselves.

Source: https://github.com/triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from modelserve.domain.inference import Array, DataType
from modelserve.errors import InvalidInput
from modelserve.protocol import values

HEADER = "inference-header-content-length"
CONTENT_TYPE = b"application/octet-stream"
Buffer = bytes | memoryview

_LENGTH = struct.Struct("<I")
_DIGITS = 19
"""A number with more digits is no length of anything."""


def split(body: Buffer, told: str) -> tuple[Buffer, Tail | None]:
    """The JSON of a body and what follows it; ``told`` is the header's value, empty where none was sent.

    Raises InvalidInput for a value that is no length, or longer than the body.
    """
    if not told:
        return body, None
    length = json_length(told)
    if length is None:
        raise values.got(HEADER, told, "send the length of the JSON in bytes, as a whole number")
    if length > len(body):
        raise values.got(HEADER, length, f"the body has {len(body)} bytes")
    view = memoryview(body)
    return view[:length], Tail(view[length:])


def json_length(told: str) -> int | None:
    """The header's value as a number; None for one that is no length."""
    return int(told) if told.isascii() and told.isdigit() and len(told) <= _DIGITS else None


class Tail:
    """The bytes behind the JSON, taken tensor by tensor from the front."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._taken = data, 0

    def take(self, size: object, place: str) -> memoryview:
        """The next ``size`` bytes. Raises InvalidInput for a size that is none, or more than there is."""
        if type(size) is not int or size < 0:
            raise values.got(place, size, "send the tensor's size in bytes, as a whole number")
        left = len(self._data) - self._taken
        if size > left:
            raise values.got(place, size, f"{left} bytes are left of the body")
        start, self._taken = self._taken, self._taken + size
        return self._data[start : self._taken]

    def finish(self) -> None:
        """Raise InvalidInput for bytes that belong to no tensor."""
        if left := len(self._data) - self._taken:
            raise InvalidInput(f"body: {left} bytes follow the last tensor; binary_data_size tells each size")


def array(data: memoryview, datatype: DataType, shape: Sequence[int], place: str) -> Array:
    """The tensor in these bytes: a read-only view of them, a copy only where they lie askew in memory.

    ``shape`` is the declared one, without negative lengths. Raises InvalidInput where the bytes are not as
    many as it needs, and for bytes that are no element of the type.
    """
    count = math.prod(shape)
    if datatype is DataType.BYTES:
        return _strings(data, count, place).reshape(shape)
    dtype = datatype.numpy
    if len(data) != count * dtype.itemsize:
        wanted = f"{datatype} of shape {list(shape)} takes {count * dtype.itemsize} bytes"
        raise values.got(place, len(data), wanted)
    if datatype is DataType.BOOL:
        _check_booleans(data, place)
    flat = np.frombuffer(data, dtype)
    return (flat if flat.flags.aligned else flat.copy()).reshape(shape)


def _check_booleans(data: memoryview, place: str) -> None:
    numbers = np.frombuffer(data, np.uint8)
    if numbers.size and numbers.max() > 1:
        index = int(numbers.argmax())
        raise InvalidInput(f"{place}: element {index} is the byte {numbers[index]}; BOOL takes 0 or 1")


def _strings(data: memoryview, count: int, place: str) -> Array:
    if count * _LENGTH.size > len(data):
        raise values.got(place, len(data), f"{count} elements of BYTES take at least {count * _LENGTH.size}")
    found = np.empty(count, np.object_)
    offset, size = 0, len(data)
    for index in range(count):
        start = offset + _LENGTH.size
        if start > size:
            raise _cut_short(place, index, _LENGTH.size, size - offset)
        offset = start + _LENGTH.unpack_from(data, offset)[0]
        if offset > size:
            raise _cut_short(place, index, offset - start, size - start)
        found[index] = bytes(data[start:offset])
    if offset < size:
        raise InvalidInput(f"{place}: {size - offset} bytes follow the last of {count} elements of BYTES")
    return found


def _cut_short(place: str, index: int, wanted: int, left: int) -> InvalidInput:
    return InvalidInput(f"{place}: element {index} of BYTES needs {wanted} bytes, and {left} are left")


def dump(data: Array) -> bytes:
    """The bytes of a tensor; BYTES is an object array of ``bytes`` or of what ``str`` can say."""
    if data.dtype.kind != "O":
        return data.tobytes()
    parts: list[bytes] = []
    for value in data.ravel().tolist():
        text = value if isinstance(value, bytes) else str(value).encode()
        parts += _LENGTH.pack(len(text)), text
    return b"".join(parts)
