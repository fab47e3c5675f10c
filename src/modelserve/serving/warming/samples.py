"""Inputs for a model that nobody has asked yet: the package's reference rows, else what its signature allows.

A *row* is a model's inputs with one row in them.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator

import numpy as np
import orjson

from modelserve.domain.inference import Array, DataType, Signature, Tensors, TensorSpec
from modelserve.domain.models import ModelPackage
from modelserve.domain.models import Task as TaskName
from modelserve.errors import InvalidPackage, ModelServeError
from modelserve.serving.served import Loaded

LENGTH, SIDE = 16, 224
"""What an axis of any length gets: a few tokens, or the side of an image."""
TEXT = "Ada Lovelace met Charles Babbage in London in 1833, and wrote to him for years."
QUIET, LOUD = 0.02, 30.0
"""Sizes of other rows as shares of the first: what is computed over a whole batch shows where they differ."""
_WIDE, _NARROW = 10, 2
"""Whole numbers are made up below this: most models take ten kinds of a thing, and others only yes or no."""


def reference_rows(loaded: Loaded) -> Iterator[Tensors]:
    """The rows of the package's reference file that are questions for the model's task. Raises
    InvalidPackage that names the line, or what preparing one raises."""
    if loaded.task is not None:
        for item in reference_questions(loaded.package):
            yield loaded.task.prepare(item)[0]


def reference_questions(package: ModelPackage) -> Iterator[str | bytes]:
    """The texts (``text``) or images (``image``, base64) of the rows of the package's reference file.

    Raises InvalidPackage that names the line.
    """
    if package.reference is None:
        return
    with package.reference.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _question(line, package.task, f"{package.reference.name}, line {number}")


def made_up(loaded: Loaded) -> Iterator[Tensors]:
    """Rows that the model is likely to take, the likeliest first: tokens of a text, then other numbers."""
    if loaded.task is not None and loaded.package.task is TaskName.TOKEN_CLASSIFICATION:
        with contextlib.suppress(ModelServeError):  # the text is too long for this model, say
            yield loaded.task.prepare(TEXT)[0]
    inputs = loaded.model.signature.inputs
    for most in (_WIDE, _NARROW):
        chance = np.random.default_rng(0)
        yield {spec.name: _chosen(spec, chance, most) for spec in inputs}
    yield {spec.name: _ones(spec) for spec in inputs}


def others(row: Tensors) -> Iterator[Tensors]:
    """Other rows than this, of the same datatypes and shapes: numbers of another size, and else some of its
    own values, which are valid."""
    chance = np.random.default_rng(1)
    for size, turn in ((QUIET, 1), (LOUD, 2)):
        other = {name: _other(data, chance, size, turn) for name, data in row.items()}
        if any(not np.array_equal(other[name], data) for name, data in row.items()):
            yield other


def cut(row: Tensors, signature: Signature, length: int) -> Tensors:
    """The row with no more than ``length`` along axis 1 of the inputs that may be padded."""
    padded = {spec.name for spec in signature.inputs if spec.pad is not None}
    return {name: data[:, :length] if name in padded else data for name, data in row.items()}


def is_exact(signature: Signature) -> bool:
    """Whether the signature leaves nothing open but the number of rows."""
    return all(length >= 0 for spec in signature.inputs for length in spec.shape[1:])


def _question(line: bytes, task: TaskName, place: str) -> str | bytes:
    try:
        row = orjson.loads(line)
        if task is TaskName.TOKEN_CLASSIFICATION:
            return str(row["text"])
        return base64.b64decode(row["image"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidPackage(f"{place}: not a row of this task: {error}") from error


def _shape(spec: TensorSpec) -> tuple[int, ...]:
    free = SIDE if len(spec.shape) == 4 else LENGTH
    first = (1 if length == -1 else length for length in spec.shape[:1])
    return (*first, *(free if length == -1 else length for length in spec.shape[1:]))


def _chosen(spec: TensorSpec, chance: np.random.Generator, most: int) -> Array:
    shape, dtype = _shape(spec), spec.datatype.numpy
    if spec.datatype is DataType.BYTES:
        return _ones(spec)
    if spec.datatype is DataType.BOOL or "mask" in spec.name:
        return np.ones(shape, dtype)
    if dtype.kind == "f":
        return chance.standard_normal(shape).astype(dtype)
    return chance.integers(0, most, shape).astype(dtype)


def _ones(spec: TensorSpec) -> Array:
    if spec.datatype is DataType.BYTES:
        return np.full(_shape(spec), b"warm-up", dtype=object)
    return np.ones(_shape(spec), spec.datatype.numpy)


def _other(data: Array, chance: np.random.Generator, size: float, turn: int) -> Array:
    if data.dtype.kind == "f":
        largest = float(np.abs(data).max(initial=0.0)) or 1.0
        return (chance.standard_normal(data.shape) * largest * size).astype(data.dtype)
    if data.size > 1:
        return chance.choice(data.ravel(), data.shape)
    if data.dtype == np.object_:
        return np.full(data.shape, data.item() + b" " + str(turn).encode(), dtype=object)
    return data if data.dtype == np.bool_ else (data + turn).astype(data.dtype)
