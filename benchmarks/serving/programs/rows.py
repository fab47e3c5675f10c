"""What all hand-written programs share: bodies to arrays, images to arrays, one session, arrays to bodies.

Runs in each program's own virtual environment, so it imports what they all have: numpy, orjson, Pillow and
onnxruntime. Nothing is checked here that a wrong request could have wrong.
"""

from __future__ import annotations

import io
import os
import struct
from typing import Any

import numpy as np
import onnxruntime
import orjson
from PIL import Image

MODEL = os.environ.get("BENCH_MODEL", "")
WIRE = os.environ.get("BENCH_WIRE", "json")
PORT = int(os.environ.get("BENCH_PORT", "0"))
CORES = os.cpu_count() or 1
BATCH = 8
"""Rows in one run, at most: more of them gain nothing on CPU."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_SCALE, _SHIFT = 1 / (255 * _DEVIATION), -_MEAN / _DEVIATION
KINDS = {"INT64": np.int64, "FP32": np.float32}


def session(threads: int = 1) -> Any:
    """The model with ``threads`` cores a run; runs beside each other don't spin for each other."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if threads == 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


def decoded(body: bytes) -> dict[str, Any]:
    """The inputs of one request, by name."""
    return _DECODERS[WIRE](body)


def _from_json(body: bytes) -> dict[str, Any]:
    return {
        each["name"]: np.array(each["data"], KINDS[each["datatype"]]).reshape(each["shape"])
        for each in orjson.loads(body)["inputs"]
    }


def _from_bytes(body: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", body)
    at, found = 4 + length, {}
    for each in orjson.loads(body[4:at]):
        kind, shape = np.dtype(KINDS[each["datatype"]]), each["shape"]
        count = int(np.prod(shape))
        found[each["name"]] = np.frombuffer(body, kind, count, at).reshape(shape)
        at += count * kind.itemsize
    return found


def from_jpeg(body: bytes) -> dict[str, Any]:
    """Decoded, resized and normalised: [1, 3, 224, 224]."""
    image = Image.open(io.BytesIO(body)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32) * _SCALE + _SHIFT
    return {"pixel_values": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])}


_DECODERS = {"json": _from_json, "binary": _from_bytes, "jpeg": from_jpeg}


def encoded(output: Any) -> bytes:
    """The answer to one request: logits [1, ...]; of an image the five best labels."""
    if WIRE == "binary":
        head = orjson.dumps([{"name": "logits", "datatype": "FP32", "shape": output.shape}])
        return struct.pack("<I", len(head)) + head + output.tobytes()
    if WIRE == "json":
        answer = {"name": "logits", "datatype": "FP32", "shape": output.shape, "data": output.ravel()}
        return orjson.dumps({"outputs": [answer]}, option=orjson.OPT_SERIALIZE_NUMPY)
    shares = np.exp(output[0] - output[0].max())
    shares /= shares.sum()
    best = np.argsort(-shares)[:5]
    return orjson.dumps({"labels": [{"label": f"class {i}", "score": float(shares[i])} for i in best]})


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One batch from requests of one row each; shorter ones are padded with zeros to the longest."""
    if len(parts) == 1:
        return parts[0]
    return {name: _stacked([part[name] for part in parts]) for name in parts[0]}


def _stacked(values: list[Any]) -> Any:
    lengths = {value.shape[1] for value in values}
    if len(lengths) > 1:
        longest = max(lengths)
        values = [np.pad(value, ((0, 0), (0, longest - value.shape[1]))) for value in values]
    return np.concatenate(values)


def lengths(parts: list[dict[str, Any]]) -> list[int]:
    """Of each request its axis 1, to cut off what was padded where answers have an axis of tokens."""
    return [next(iter(part.values())).shape[1] for part in parts]


def answers(running: Any, parts: list[dict[str, Any]]) -> list[Any]:
    """Run one batch; of each request its logits [1, ...]."""
    (logits,) = running.run(None, joined(parts))
    if logits.ndim < 3:
        return [logits[index : index + 1] for index in range(len(parts))]
    return [logits[index : index + 1, :length] for index, length in enumerate(lengths(parts))]
