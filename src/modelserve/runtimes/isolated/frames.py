"""Messages between a model server and the process that runs its engine.

One message is a prefix (bytes of the head, bytes of the payload), a head in JSON, and a payload of raw
buffers::

    {"do": "predict", "outputs": [], "tensors": [["x", "FP32", [8, 128]]]}      then 4096 bytes

Nothing is pickled, so nothing that arrives is ever run. BYTES elements are written as in the Open Inference
Protocol's binary extension: four bytes of length, little-endian, before each.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelserve.domain.inference import Array, DataType, Tensors

PREFIX = struct.Struct("<IQ")
ALIGNMENT = 64
"""Bytes; every tensor begins at a multiple, as vector instructions like it."""
_LENGTH = struct.Struct("<I")

Described = Sequence[Sequence[Any]]
"""Of each tensor its name, its datatype, its shape and its bytes."""


def describe(tensors: Mapping[str, Array]) -> tuple[list[list[Any]], list[Array]]:
    """What the head says of the tensors, and their bytes as flat arrays of UINT8, in the same order.

    Raises KeyError for a dtype that has no name in the protocol.
    """
    described, buffers = [], []
    for name, data in tensors.items():
        datatype = DataType.of(data.dtype)
        flat = _packed(data) if datatype is DataType.BYTES else np.ascontiguousarray(data)
        buffers.append(flat.reshape(-1).view(np.uint8))
        described.append([name, datatype.value, data.shape, buffers[-1].nbytes])
    return described, buffers


def restore(described: Described, payload: Array) -> Tensors:
    """The tensors in a payload of UINT8, as views of it (BYTES are copies)."""
    tensors: Tensors = {}
    at = 0
    for name, kind, shape, size in described:
        datatype, part = DataType(kind), payload[at : at + size]
        unpacked = _unpacked(part) if datatype is DataType.BYTES else part.view(datatype.numpy)
        tensors[name] = unpacked.reshape(shape)
        at += padded(size)
    return tensors


def padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def size_of(buffers: Sequence[Array]) -> int:
    """Bytes of a payload of these buffers, with what is left free between them."""
    return sum(padded(buffer.nbytes) for buffer in buffers)


def write_into(target: Array, buffers: Sequence[Array]) -> None:
    """Lay the buffers out in an array of UINT8 that has room for them."""
    at = 0
    for buffer in buffers:
        target[at : at + buffer.nbytes] = buffer
        at += padded(buffer.nbytes)


def _packed(data: Array) -> Array:
    parts: list[bytes] = []
    for element in data.flat:
        value = element.encode() if isinstance(element, str) else bytes(element)
        parts += (_LENGTH.pack(len(value)), value)
    return np.frombuffer(b"".join(parts), np.uint8)


def _unpacked(part: Array) -> Array:
    raw, at, elements = part.tobytes(), 0, []
    while at < len(raw):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size + length
        elements.append(raw[at - length : at])
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array
