"""The first runs of a model, before anyone waits for them.

A model's first runs are slow (memory is laid out, caches are cold), once for each size of batch. Real inputs
from the package's reference rows come first; else inputs are made up from the signature.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Generator, Iterator
from itertools import islice

import numpy as np
import orjson

from modelserve.batching.cost import CostModel
from modelserve.batching.joining import Joiner
from modelserve.domain.inference import Array, DataType, Tensors, TensorSpec
from modelserve.domain.models import ModelPackage
from modelserve.domain.models import Task as TaskName
from modelserve.errors import InvalidPackage, ModelServeError
from modelserve.runtimes.base import Streaming
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded

REPEATS, ENOUGH = 20, 0.02
"""Runs of one batch, at most, and seconds after which no further one begins."""
SECONDS = 10.0
"""Time for warming up, at most; checked between runs."""
_MADE_UP_LENGTH = 16
_MADE_UP_SIDE = 224


def warm_up(loaded: Loaded, max_batch: int, log: EventLog, cost: CostModel) -> None:
    """Run the model on batches of 1, 2, 4, ... ``max_batch`` items; ``cost`` learns how long that takes.

    Raises InvalidPackage if it fails on the package's own reference rows. A failure on made-up inputs is
    logged only: a signature does not tell all that a model expects of its inputs.
    """
    try:
        items = list(islice(_reference_items(loaded), max_batch))
    except ModelServeError as error:
        raise _unfit(error) from error
    try:
        _Runs(loaded, cost).go(items or [made_up(loaded)], max_batch)
    except ModelServeError as error:
        if items:
            raise _unfit(error) from error
        log.warning("warm_up_failed", message=str(error), hint="add reference rows to the package")


def _unfit(error: ModelServeError) -> InvalidPackage:
    return InvalidPackage(f"the model fails on the package's own reference rows: {error}")


def _first_piece(model: Streaming, item: Tensors) -> None:
    pieces = model.stream(item)
    next(pieces, None)
    if isinstance(pieces, Generator):
        pieces.close()


class _Runs:
    def __init__(self, loaded: Loaded, cost: CostModel) -> None:
        self._model, self._cost = loaded.model, cost
        self._joiner = Joiner(loaded.model.signature)
        self._until = time.monotonic() + SECONDS

    def go(self, items: list[Tensors], max_batch: int) -> None:
        if isinstance(self._model, Streaming) and self._model.streams and not self._model.whole:
            _first_piece(self._model, items[0])
            return
        for item in items:
            self._model.predict(item)
            if time.monotonic() > self._until:
                return
        self._measure(items[:1])
        size = 2
        while self._joiner.joinable and size <= max_batch and time.monotonic() < self._until:
            self._measure([items[0]] * size)
            size *= 2

    def _measure(self, parts: list[Tensors]) -> None:
        """Run a batch a few times, and learn of the fastest: the first lays out memory, and others may have
        been held up by what else the machine does."""
        fits = [self._joiner.fit(part) for part in parts]
        batch, cost = self._joiner.assemble(parts, fits), sum(fit.cost for fit in fits)
        fastest, until = math.inf, time.monotonic() + ENOUGH
        for _ in range(REPEATS):
            started = time.monotonic()
            self._model.predict(batch)
            fastest = min(fastest, time.monotonic() - started)
            if time.monotonic() > until:
                break
        for _ in range(2):
            self._cost.learn(cost, fastest)


def an_item(loaded: Loaded) -> Tensors:
    """The first of the package's reference rows, else made-up inputs. Raises what reading the row raises."""
    return next(_reference_items(loaded), None) or made_up(loaded)


def _reference_items(loaded: Loaded) -> Iterator[Tensors]:
    """Tensors of the reference rows that are questions for the model's task."""
    if loaded.task is None or loaded.package.reference is None:
        return
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


def _question(line: bytes, task: TaskName, place: str) -> str | bytes:
    try:
        row = orjson.loads(line)
        if task is TaskName.TOKEN_CLASSIFICATION:
            return str(row["text"])
        return base64.b64decode(row["image"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidPackage(f"{place}: not a row of this task: {error}") from error


def made_up(loaded: Loaded) -> Tensors:
    """One row of ones for each input; an axis of any length gets one that the field knows."""
    return {spec.name: _ones(spec) for spec in loaded.model.signature.inputs}


def _ones(spec: TensorSpec) -> Array:
    free = _MADE_UP_SIDE if len(spec.shape) == 4 else _MADE_UP_LENGTH
    rest = [free if length == -1 else length for length in spec.shape[1:]]
    first = [1 if length == -1 else length for length in spec.shape[:1]]
    if spec.datatype is DataType.BYTES:
        return np.full([*first, *rest], b"warm-up", dtype=object)
    return np.ones([*first, *rest], dtype=spec.datatype.numpy)
