"""Named arrays to the bytes of an infer request, and the bytes of an infer response to named arrays.

The other side of :mod:`modelserve.protocol.oip`, for models whose signature only the server knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelserve.client.faults import BadAnswer
from modelserve.domain.inference import Array, DataType, Tensors
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, binary, values
from modelserve.protocol.binary import Tail

JSON = "application/json"
Encoded = tuple[bytes, dict[str, str]]
"""Body and headers."""


class Unsayable(InvalidInput):
    """JSON cannot say what a tensor holds; bytes can."""


def encode(tensors: Mapping[str, Any], outputs: Sequence[str], *, as_bytes: bool) -> Encoded:
    """An infer request; ``outputs`` empty: all. Raises InvalidInput."""
    blobs: list[bytes] = []
    head: dict[str, Any] = {"inputs": [_entry(name, tensors[name], blobs, as_bytes) for name in tensors]}
    if outputs:
        head["outputs"] = [{"name": name} for name in outputs]
    if not as_bytes:
        return arrays.dump(head), {"content-type": JSON}
    head["parameters"] = {"binary_data_output": True}
    text = arrays.dump(head)
    headers = {"content-type": binary.CONTENT_TYPE.decode(), binary.HEADER: str(len(text))}
    return b"".join((text, *blobs)), headers


def _entry(name: str, value: Any, blobs: list[bytes], as_bytes: bool) -> dict[str, Any]:
    """One input's JSON; its bytes, if it is to travel so, go to the end of ``blobs``."""
    data = _array(name, value)
    entry: dict[str, Any] = {"name": name, "datatype": DataType.of(data.dtype), "shape": list(data.shape)}
    if as_bytes:
        blobs.append(binary.dump(data))
        return entry | {"parameters": {"binary_data_size": len(blobs[-1])}}
    return entry | {"data": _json(name, data)}


def _array(name: str, value: Any) -> Array:
    """An array of a type that the protocol names, in this machine's byte order; strings become objects."""
    try:
        data = np.asarray(value)
        if data.dtype.kind in "USO":
            return _strings(name, data)
        data = data.astype(data.dtype.newbyteorder("="), copy=False)
        DataType.of(data.dtype)
    except (ValueError, KeyError):
        kind = getattr(value, "dtype", type(value).__name__)
        known = ", ".join(sorted({str(each.numpy) for each in DataType}))
        raise InvalidInput(f'inputs: "{name}" is of type {kind}; give {known} or strings') from None
    return data


def _strings(name: str, data: Array) -> Array:
    for element in data.ravel().tolist():
        if not isinstance(element, str | bytes):
            kind = type(element).__name__
            raise InvalidInput(f'inputs: "{name}" holds {kind}; give objects of str or bytes')
    return data.astype(object)


def _json(name: str, data: Array) -> Any:
    if data.dtype.kind == "O":
        return [_text(name, element) for element in data.ravel().tolist()]
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise Unsayable(f'inputs: "{name}" holds NaN or infinity, which JSON cannot say')
    return np.ascontiguousarray(data).reshape(-1)


def _text(name: str, element: str | bytes) -> str:
    try:
        return element.decode() if isinstance(element, bytes) else element
    except UnicodeDecodeError:
        raise Unsayable(f'inputs: "{name}" holds bytes that are no UTF-8, which JSON cannot say') from None


def decode(body: bytes, json_length: str) -> tuple[dict[str, Any], Tensors]:
    """An infer response: its JSON, and its outputs. ``json_length`` is the header's value, empty without one.

    Raises BadAnswer.
    """
    try:
        text, tail = binary.split(body, json_length)
        fields = values.parse(bytes(text))
        outputs = named(fields.get("outputs"), "outputs", tail)
        if tail is not None:
            tail.finish()
    except InvalidInput as error:
        raise BadAnswer(f"the answer is not as the protocol says: {error.message}") from None
    return fields, outputs


def named(entries: object, place: str, tail: Tail | None = None) -> Tensors:
    """Tensors as a message lists them; the arrays are the caller's to change. Raises InvalidInput."""
    if not isinstance(entries, list):
        raise values.got(place, entries, "a list of tensors is wanted")
    found: Tensors = {}
    for index, entry in enumerate(entries):
        where = f"{place}[{index}]"
        if not isinstance(entry, dict):
            raise values.got(where, entry, "an object with name, shape, datatype and data is wanted")
        found[values.text(entry.get("name"), f"{where}.name")] = _tensor(entry, where, tail)
    return found


def _tensor(entry: dict[str, Any], place: str, tail: Tail | None) -> Array:
    datatype, shape = _datatype(entry.get("datatype"), place), entry.get("shape")
    if not isinstance(shape, list) or any(type(length) is not int or length < 0 for length in shape):
        raise values.got(f"{place}.shape", shape, "a list of lengths is wanted")
    parameters = entry.get("parameters")
    if tail is not None and isinstance(parameters, dict) and "binary_data_size" in parameters:
        raw = tail.take(parameters["binary_data_size"], f"{place}.parameters.binary_data_size")
        return binary.array(raw, datatype, shape, place).copy()
    data = entry.get("data")
    if not isinstance(data, list):
        raise values.got(f"{place}.data", data, "a list of elements is wanted")
    return arrays.shaped(arrays.array(data, datatype, f"{place}.data"), shape, f"{place}.data")


def _datatype(told: object, place: str) -> DataType:
    try:
        return DataType(str(told))
    except ValueError:
        raise values.got(f"{place}.datatype", told, f"one of {values.listing(DataType)} is wanted") from None
