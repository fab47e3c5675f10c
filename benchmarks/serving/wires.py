"""Requests as bytes, rendered before anything is measured: ModelServe's, and those of the other programs."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import orjson

from benchmarks import load
from modelserve.domain.inference import DataType, Tensors

JSON, BINARY, JPEG = "json", "binary", "jpeg"
SERVICE = "bench"
BYTES = "application/octet-stream"
_BOUNDARY = "boundary-of-the-form"


def modelserve(wire: str, inputs: Sequence[Tensors | bytes]) -> list[bytes]:
    """The Open Inference Protocol's JSON and binary extension; an image goes to the task route."""
    path = f"/v2/models/{SERVICE}/infer"
    if wire == JPEG:
        return [load.request(f"/predict/{SERVICE}", image, "image/jpeg") for image in _images(inputs)]
    if wire == JSON:
        return [load.request(path, oip_json(each)) for each in _tensors(inputs)]
    return [_oip_binary(path, each) for each in _tensors(inputs)]


def program(wire: str, inputs: Sequence[Tensors | bytes], path: str) -> list[bytes]:
    """JSON as above; tensors as bytes behind a short head; an image as it is."""
    if wire == JPEG:
        return [load.request(path, image, "image/jpeg") for image in _images(inputs)]
    if wire == JSON:
        return [load.request(path, oip_json(each)) for each in _tensors(inputs)]
    return [load.request(path, _binary(each), BYTES) for each in _tensors(inputs)]


def form(wire: str, inputs: Sequence[Tensors | bytes], path: str) -> list[bytes]:
    """JSON as above; all else as a file in a multipart form, for servers that take no raw body."""
    if wire == JSON:
        return program(wire, inputs, path)
    bodies = _images(inputs) if wire == JPEG else [_binary(each) for each in _tensors(inputs)]
    head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="body"; filename="body"\r\n\r\n'
    tail = f"\r\n--{_BOUNDARY}--\r\n"
    media = f"multipart/form-data; boundary={_BOUNDARY}"
    return [load.request(path, head.encode() + body + tail.encode(), media) for body in bodies]


def oip_json(tensors: Tensors) -> bytes:
    entries = [_entry(name, value) | {"data": np.ravel(value)} for name, value in tensors.items()]
    return orjson.dumps({"inputs": entries}, option=orjson.OPT_SERIALIZE_NUMPY)


def _oip_binary(path: str, tensors: Tensors) -> bytes:
    entries = [
        _entry(name, value) | {"parameters": {"binary_data_size": value.nbytes}}
        for name, value in tensors.items()
    ]
    head = orjson.dumps({"inputs": entries, "parameters": {"binary_data_output": True}})
    body = head + b"".join(value.tobytes() for value in tensors.values())
    return load.request(path, body, BYTES, inference_header_content_length=len(head))


def _entry(name: str, value: np.ndarray) -> dict[str, object]:
    return {"name": name, "datatype": DataType.of(value.dtype).value, "shape": list(value.shape)}


def _binary(tensors: Tensors) -> bytes:
    """The length of a JSON head (4 bytes, little endian), the head, and the tensors' bytes."""
    head = orjson.dumps([_entry(name, value) for name, value in tensors.items()])
    return struct.pack("<I", len(head)) + head + b"".join(value.tobytes() for value in tensors.values())


def _images(inputs: Sequence[Tensors | bytes]) -> list[bytes]:
    return [each for each in inputs if isinstance(each, bytes)]


def _tensors(inputs: Sequence[Tensors | bytes]) -> list[Tensors]:
    return [each for each in inputs if not isinstance(each, bytes)]
