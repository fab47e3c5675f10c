"""Inputs for a model that nobody has asked yet: the package's reference rows, else what its signature allows.

A *row* is a model's inputs with one row in them.
"""

from __future__ import annotations

import base64
import contextlib
import math
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
FEW = 12
"""Tokens of a row that is cut for a trial: what company does shows with a few of them, too."""
TEXT = "Ada Lovelace met Charles Babbage in London."
"""No longer than ``LENGTH`` for most tokenizers, so that one trial's rows are the warm-up's as well."""
QUIET, LOUD, LARGE = 0.02, 30.0, 1000.0
"""Sizes of other rows' numbers: what is computed over a whole batch shows where they differ."""
BYTE = 256
"""Whole numbers are made up below this where large ones are tried."""
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


def others(row: Tensors, signature: Signature) -> Iterator[Tensors]:
    """Other rows than this, of the same datatypes and shapes, the most telling first: small and large
    numbers, some missing where that is allowed, shorter masks; then with fewer inputs changed, for models
    that don't take all of it."""
    chance = np.random.default_rng(1)
    nullable = {spec.name for spec in signature.inputs if spec.nullable or spec.optional}
    floats = {name for name, data in row.items() if data.dtype.kind == "f"}
    for change in (_quiet, _loud, _large, _few):
        other = {name: change(name, data, chance) for name, data in row.items()}
        if change is _loud:
            other |= _gaps({name: other[name] for name in row if name in nullable & floats})
        yield from _if_other(other, row)
    for change in (_loud, _quiet):
        for some in (floats, row.keys() - floats):
            other = {name: change(name, row[name], chance) for name in some}
            yield from _if_other(row | other, row)


def with_gaps(row: Tensors, value: float) -> Iterator[Tensors]:
    """The row with ``value`` in the place of every other of its real numbers, if it has some."""
    if gaps := _gaps({name: data for name, data in row.items() if data.dtype.kind == "f"}, value):
        yield row | gaps


def begun_late(row: Tensors) -> Iterator[Tensors]:
    """The row with masks that leave out the first half, as where its sender padded it on the left; none where
    it has no masks."""
    masks = {name: data for name, data in row.items() if _is_mask(name, data)}
    late = row | {name: _later(data) for name, data in masks.items()}
    yield from _if_other(late, row)


def masked(answer: Tensors, row: Tensors) -> Tensors:
    """The answer without what it says of tokens that the row's mask leaves out: that means nothing, and
    depends on company in models that are else fit for it."""
    mask = row.get("attention_mask")
    if mask is None or mask.ndim != 2 or mask.all():
        return answer
    return {
        name: np.where(mask.reshape(mask.shape + (1,) * (data.ndim - 2)), data, np.zeros_like(data))
        if data.shape[:2] == mask.shape and data.dtype.kind != "O"
        else data
        for name, data in answer.items()
    }


def _if_other(other: Tensors, row: Tensors) -> Iterator[Tensors]:
    if any(not np.array_equal(other[name], data) for name, data in row.items()):
        yield other


def cut(row: Tensors, signature: Signature, length: int) -> Tensors:
    """The row with no more than ``length`` along axis 1 of the inputs that may be padded."""
    padded = {spec.name for spec in signature.inputs if spec.pad is not None}
    return {name: data[:, :length] if name in padded else data for name, data in row.items()}


def is_exact(signature: Signature) -> bool:
    """Whether the signature leaves nothing open but the number of rows, which may be any."""
    any_rows = not any(spec.rows_if for spec in signature.inputs)
    return any_rows and all(length >= 0 for spec in signature.inputs for length in spec.shape[1:])


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


def _quiet(name: str, data: Array, chance: np.random.Generator) -> Array:
    return _of_size(name, data, chance, QUIET, (0.0, 0.5))


def _loud(name: str, data: Array, chance: np.random.Generator) -> Array:
    return _of_size(name, data, chance, LOUD, (0.5, 1.0))


def _few(name: str, data: Array, chance: np.random.Generator) -> Array:
    """Numbers above zero, for models of amounts, and whole ones again from among the row's own."""
    if data.dtype.kind == "f":
        return np.abs(_of_size(name, data, chance, 1.0, (0.0, 1.0)))
    return chance.choice(data.ravel(), data.shape) if data.size else data


def _large(name: str, data: Array, chance: np.random.Generator) -> Array:
    """Numbers above zero that are far beyond the others'; of whole ones, what bytes and small tables hold."""
    if data.dtype.kind == "f" and not _is_mask(name, data):
        return (np.abs(chance.standard_normal(data.shape)) * LARGE).astype(data.dtype)
    if data.dtype.kind in "iu" and not _is_mask(name, data):
        return chance.integers(BYTE // 2, BYTE, data.shape).astype(data.dtype)
    if _is_mask(name, data):
        return _later(data)
    return _of_size(name, data, chance, LOUD, (0.0, 1.0))


def _of_size(
    name: str, data: Array, chance: np.random.Generator, size: float, part: tuple[float, float]
) -> Array:
    """Numbers of another size than the data's; whole ones from a ``part`` of their range, which are likely to
    be valid; masks of another length; other texts."""
    if _is_mask(name, data):
        return _shorter(data, part[1] / 2)
    if data.dtype.kind == "f":
        largest = max(1.0, float(np.abs(data).max(initial=0.0, where=np.isfinite(data))))
        return (chance.standard_normal(data.shape) * largest * size).astype(data.dtype)
    if data.dtype.kind in "iu" and data.size:
        least, span = _range(data)
        low, high = (least + int(span * end) for end in part)
        return chance.integers(low, high, data.shape, endpoint=True).astype(data.dtype)
    texts = np.empty(data.size, np.object_)
    texts[:] = [value + b" %d" % (10 * part[1]) for value in data.ravel()]
    return texts.reshape(data.shape)


def _range(data: Array) -> tuple[int, int]:
    """The least, and how much more the most is; where all are the same, what a count of no more may be."""
    least, most = int(data.min()), int(data.max())
    if least < most:
        return least, most - least
    return (1, most - 1) if most > 1 else (0, 1)


def _is_mask(name: str, data: Array) -> bool:
    return data.dtype == np.bool_ or "mask" in name


def _shorter(mask: Array, share: float) -> Array:
    """True, or one, for a share of the last axis; turned about where that has no more than one element."""
    if not mask.ndim or mask.shape[-1] < 2:
        return np.logical_not(mask).astype(mask.dtype)
    shorter = mask.copy()
    shorter[..., max(1, int(mask.shape[-1] * share)) :] = 0
    return shorter


def _later(mask: Array) -> Array:
    """True, or one, for the second half of the last axis alone."""
    shorter = _shorter(mask, 0.5)
    return shorter[..., ::-1].copy() if shorter.ndim else shorter


def _gaps(some: Tensors, value: float = math.nan) -> Tensors:
    """Every other number is missing, and of inputs of a single number every other input."""
    gaps = {}
    for at, (name, data) in enumerate(some.items()):
        gaps[name] = data.copy()
        gaps[name].ravel()[at % 2 if data.size == 1 else 0 :: 2] = value
    return gaps
