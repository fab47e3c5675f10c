"""The first runs of a model, before anyone waits for them.

A model's first runs are slow (memory is laid out, caches are cold), once for each size of batch. Real inputs
from the package's reference rows come first; else inputs are made up from the signature. What its batches
answer tells whether requests may share them (see ``trial``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import islice

from modelserve.batching.cost import CostModel
from modelserve.batching.joining import Joiner
from modelserve.batching.sharing import TOGETHER, Sharing
from modelserve.domain.inference import Tensors
from modelserve.errors import (
    DeadlineExceeded,
    InvalidPackage,
    ModelServeError,
    NotReady,
    Overloaded,
    Unavailable,
)
from modelserve.runtimes.base import Streaming
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.warming.longest import try_longest
from modelserve.serving.warming.permission import objections, refused, unknown
from modelserve.serving.warming.samples import is_exact, made_up, reference_rows
from modelserve.serving.warming.trial import LEAST, Run, Trial

REPEATS, ENOUGH = 20, 0.02
"""Runs of one batch, at most, and seconds after which no further one begins."""
SECONDS = 10.0
"""Time for warming up, at most; checked between runs."""
_AWAY = (DeadlineExceeded, NotReady, Overloaded, Unavailable)
"""What says nothing of the model, but that the engine can't be asked just now."""


def warm_up(loaded: Loaded, max_batch: int, log: EventLog, cost: CostModel) -> Loaded:
    """Run the model on batches of 1, 2, 4, ... ``max_batch`` rows, and find out whether requests may share a
    run: the model with what was found. ``cost`` learns how long the runs take.

    Raises InvalidPackage if it fails on the package's own reference rows, on the longest text that the
    package says to take, or on made-up inputs of a signature that leaves nothing open; else such a failure is
    a doubt that its owner is told of. Raises InvalidPackage too if the owner says that requests may share
    runs, and they may not.
    """
    if not loaded.package.warm_up:
        return _told(log, _untried(loaded, "it was not warmed up (warmUp: skip)"))
    rows = _reference(loaded, max_batch)
    try:
        sharing = _Runs(loaded, cost, max_batch).go(rows)
    except ModelServeError as error:
        return _told(log, _doubtful(loaded, error, bool(rows)))
    loaded = replace(loaded, sharing=sharing)
    try_longest(loaded, cost)
    return _told(log, loaded)


def an_item(loaded: Loaded) -> Tensors:
    """The first of the package's reference rows, else one that is made up and that the model takes. Raises
    what reading the row raises, and what the model does."""
    return next(reference_rows(loaded), None) or _fit_for(loaded)


def _reference(loaded: Loaded, most: int) -> list[Tensors]:
    try:
        return list(islice(reference_rows(loaded), most))
    except ModelServeError as error:
        raise _unfit(error) from error


def _fit_for(loaded: Loaded) -> Tensors:
    """The first of the made-up rows that the model takes. Raises what it raises for the last of them."""
    *before, last = made_up(loaded)
    for row in before:
        try:
            loaded.model.predict(row)
        except _AWAY:
            raise
        except ModelServeError:
            continue
        return row
    loaded.model.predict(last)
    return last


def _doubtful(loaded: Loaded, error: ModelServeError, reference: bool) -> Loaded:
    """The model that failed over its warm-up. Raises InvalidPackage where it has to be fit for it."""
    if isinstance(error, InvalidPackage):
        raise error
    if reference:
        raise _unfit(error) from error
    if is_exact(loaded.model.signature) and not isinstance(error, _AWAY):
        raise InvalidPackage(
            f"the model fails on inputs that are made up from its signature: {error.message}; mend it, or "
            f"say `warmUp: skip` if it takes only inputs of a kind that no signature tells"
        ) from error
    doubt = f"the warm-up failed: {error.message}"
    return replace(_untried(loaded, "the warm-up failed"), doubts=(doubt,))


def _untried(loaded: Loaded, why: str) -> Loaded:
    return replace(loaded, sharing=unknown(loaded.package, loaded.model.signature, why))


def _unfit(error: ModelServeError) -> InvalidPackage:
    return InvalidPackage(f"the model fails on the package's own reference rows: {error}")


def _told(log: EventLog, loaded: Loaded) -> Loaded:
    """The model; its owner is told by the log."""
    for doubt in loaded.doubts:
        log.warning("warm_up_failed", message=doubt, hint="add reference rows to the package")
    if not loaded.sharing.rows:
        log.info("runs_alone", reason=loaded.sharing.why)
    elif not loaded.sharing.lengths:
        log.info("runs_unpadded", reason=loaded.sharing.why)
    return loaded


class _Runs:
    def __init__(self, loaded: Loaded, cost: CostModel, max_batch: int) -> None:
        self._loaded, self._model, self._cost, self._max_batch = loaded, loaded.model, cost, max_batch
        self._until = time.monotonic() + SECONDS

    def go(self, rows: Sequence[Tensors]) -> Sharing:
        """Run rows of the package, or one that is made up, then batches. Raises what the model raises."""
        if isinstance(self._model, Streaming) and self._model.streams and not self._model.whole:
            _first_piece(self._model, rows[0] if rows else next(made_up(self._loaded)))
            return self._unknown("it answers in pieces")
        for row in rows:
            self._model.predict(row)
            if self._late:
                break
        first = rows[0] if rows else _fit_for(self._loaded)
        fit = Joiner(self._model.signature, TOGETHER).fit(first)
        self._measure(first, fit.cost)
        if objection := objections(self._loaded.package, self._model.signature):
            return refused(self._loaded.package, objection)
        return self._tried(Trial(self._model, first, self._loaded.package.external is not None), fit.cost)

    @property
    def _late(self) -> bool:
        return time.monotonic() > self._until

    def _tried(self, trial: Trial, cost: int) -> Sharing:
        if hindrance := trial.hindrance():
            return self._unknown(hindrance)
        if why := trial.miscount():
            return refused(self._loaded.package, why)
        size = 2
        while size <= max(LEAST, self._max_batch) and not self._late:
            if why := trial.company(size, self._runner(size, cost)):
                return refused(self._loaded.package, why)
            size *= 2
        if size <= LEAST:
            return self._unknown(f"its runs are too slow to try that within {SECONDS:g} s")
        if why := trial.padding():
            return Sharing(True, False, f"only requests of one length share a run: {why}")
        return TOGETHER

    def _unknown(self, why: str) -> Sharing:
        return unknown(self._loaded.package, self._model.signature, why)

    def _runner(self, size: int, cost: int) -> Run:
        if size > self._max_batch:
            return self._model.predict
        return lambda batch: self._measure(batch, size * cost)

    def _measure(self, batch: Tensors, cost: int) -> Tensors:
        """Run a batch a few times, and learn of the fastest: the first lays out memory, and others may have
        been held up by what else the machine does. What the last run answered."""
        fastest, until = math.inf, time.monotonic() + ENOUGH
        for _ in range(REPEATS):
            started = time.monotonic()
            answer = self._model.predict(batch)
            fastest = min(fastest, time.monotonic() - started)
            if time.monotonic() > until:
                break
        for _ in range(2):
            self._cost.learn(cost, fastest)
        return answer


def _first_piece(model: Streaming, row: Tensors) -> None:
    pieces = model.stream(row)
    next(pieces, None)
    if isinstance(pieces, Generator):
        pieces.close()
