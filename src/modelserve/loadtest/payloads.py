"""What the requests of a load test carry: texts, images or tensors, as each protocol wants them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from modelserve.client import images, tensors
from modelserve.domain.inference import Array, DataType, Tensors, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.loadtest.targets import Protocol
from modelserve.protocol import arrays

FREE_AXIS = 16
"""Length of an axis, not the first, that may have any."""
_JSON = {"content-type": "application/json"}

Sample = str | bytes | Tensors
"""A text, an encoded image, or named tensors."""


@dataclass(frozen=True, slots=True)
class Payload:
    body: bytes
    headers: dict[str, str]


def samples(lines: str, source: str) -> list[Sample]:
    """One sample from each line of JSON: ``{"text": ...}``, ``{"image": "<base64>"}`` or an infer request.

    Raises InvalidInput that names the line.
    """
    found: list[Sample] = []
    for number, line in enumerate(lines.splitlines(), 1):
        if line.strip():
            try:
                found.append(sample(line.encode()))
            except InvalidInput as error:
                raise InvalidInput(f"{source}, line {number}: {error.message}") from None
    if not found:
        raise InvalidInput(f"{source}: there are no samples in it")
    return found


def sample(line: bytes) -> Sample:
    """A sample from JSON; fields that it has besides are not looked at. Raises InvalidInput."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"not valid JSON: {error}") from None
    if isinstance(fields, dict) and isinstance(text := fields.get("text"), str):
        return text
    if isinstance(fields, dict) and isinstance(image := fields.get("image"), str):
        return _image(image)
    if isinstance(fields, dict) and "inputs" in fields:
        return tensors.named(fields["inputs"], "inputs")
    raise InvalidInput('give {"text": ...}, {"image": "<base64>"} or {"inputs": [...]}')


def _image(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"image: not base64: {error}") from None


def generated(specs: Sequence[TensorSpec], seed: int) -> Tensors:
    """Tensors that a model with these inputs takes: random numbers, ones where it wants whole numbers."""
    source = np.random.default_rng(seed)
    return {spec.name: _generated(spec, source) for spec in specs}


def _generated(spec: TensorSpec, source: np.random.Generator) -> Array:
    lengths = [1, *(FREE_AXIS for _ in spec.shape[1:])]
    shape = [free if axis == -1 else axis for axis, free in zip(spec.shape, lengths, strict=False)]
    if spec.datatype is DataType.BYTES:
        return np.full(shape, "text", object)
    if spec.datatype.numpy.kind == "f":
        return source.standard_normal(shape).astype(spec.datatype.numpy)
    return np.ones(shape, spec.datatype.numpy)


def payload(sample: Sample, protocol: Protocol) -> Payload:
    """The body of a request. Raises InvalidInput where the protocol cannot carry such a sample."""
    if protocol == "task":
        return _task(sample)
    if protocol == "v1":
        return Payload(arrays.dump({"instances": _instances(sample)}), _JSON)
    if not isinstance(sample, dict):
        raise InvalidInput(f"protocol: {protocol} takes tensors; ask with --protocol task or v1")
    return Payload(*tensors.encode(sample, (), as_bytes=protocol == "binary"))


def _task(sample: Sample) -> Payload:
    if isinstance(sample, str):
        return Payload(arrays.dump({"text": sample}), _JSON)
    if isinstance(sample, bytes):
        return Payload(sample, {"content-type": images.media_type(sample)})
    raise InvalidInput("protocol: task takes texts and images; ask with --protocol oip, binary or v1")


def _instances(sample: Sample) -> list[Any]:
    if isinstance(sample, str):
        return [sample]
    if isinstance(sample, bytes):
        return [{"b64": base64.b64encode(sample).decode()}]
    rows = zip(*(value.tolist() for value in sample.values()), strict=True)
    named = [{name: _said(value) for name, value in zip(sample, row, strict=True)} for row in rows]
    return named if len(sample) > 1 else [row for each in named for row in each.values()]


def _said(value: Any) -> Any:
    """Strings of bytes as text, however deep they lie."""
    if isinstance(value, list):
        return [_said(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value
