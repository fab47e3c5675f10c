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
from functools import partial
from itertools import islice

from modelserve.batching.cost import CostModel
from modelserve.batching.joining import Joiner
from modelserve.batching.sharing import TOGETHER, UNTRIED, Sharing, departure
from modelserve.domain.inference import Tensors
from modelserve.errors import InvalidPackage, ModelServeError
from modelserve.packages.operators.decisions import decision
from modelserve.runtimes.base import Streaming, is_accelerated
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.warming.longest import try_longest
from modelserve.serving.warming.permission import is_graph, objections, refused, replaceable, unknown
from modelserve.serving.warming.samples import FEW, LENGTH, cut, is_exact, made_up, reference_rows
from modelserve.serving.warming.trial import AWAY, MOST, Run, Trial

REPEATS, ENOUGH = 20, 0.02
"""Runs of one batch, at most, and seconds after which no further one begins."""
SECONDS = 10.0
"""Time for warming up, at most; checked between runs."""
SLOW = f"its runs are too slow to try that within {SECONDS:g} s"
LEAST_RUNS = 3
"""Runs that a trial takes at least: of another row, and of two batches."""
EXTRA = 0.5
"""Seconds that other rows may take to be run by themselves, but for one."""


def warm_up(loaded: Loaded, max_batch: int, log: EventLog, cost: CostModel) -> Loaded:
    """Run the model on batches of 1, 2, 4, ... ``max_batch`` rows, and find out whether requests may share a
    run: the model with what was found. ``cost`` learns how long the runs take.

    Raises InvalidPackage if it fails on the package's own reference rows, on the longest text that the
    package says to take, or on made-up inputs of a signature that leaves nothing open; else such a failure is
    a doubt that its owner is told of. Raises InvalidPackage too if the owner says that requests may share
    runs, and they may not.
    """
    loaded = replace(loaded, even=not decision(loaded.package.model_file))
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
    return next(reference_rows(loaded), None) or _fit_for(loaded)[0]


def _reference(loaded: Loaded, most: int) -> list[Tensors]:
    try:
        return list(islice(reference_rows(loaded), most))
    except ModelServeError as error:
        raise _unfit(error) from error


def _fit_for(loaded: Loaded) -> tuple[Tensors, Tensors]:
    """The first of the made-up rows that the model takes, and its answer. Raises what it raises for the last
    of them."""
    *before, last = made_up(loaded)
    for row in before:
        try:
            return row, loaded.model.predict(row)
        except AWAY:
            raise
        except ModelServeError:
            continue
    return last, loaded.model.predict(last)


def _doubtful(loaded: Loaded, error: ModelServeError, reference: bool) -> Loaded:
    """The model that failed over its warm-up. Raises InvalidPackage where it has to be fit for it."""
    if isinstance(error, InvalidPackage):
        raise error
    if reference:
        raise _unfit(error) from error
    if is_exact(loaded.model.signature) and not isinstance(error, AWAY):
        raise InvalidPackage(
            f"the model fails on inputs that are made up from its signature: {error.message}; mend it, or "
            f"say `warmUp: skip` if it takes only inputs of a kind that no signature tells"
        ) from error
    doubt = f"the warm-up failed: {error.message}"
    return replace(_untried(loaded, doubt), doubts=(doubt,))


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
        self._loaded, self._package, self._model = loaded, loaded.package, loaded.model
        self._cost, self._max_batch = cost, max_batch
        self._joiner = Joiner(loaded.model.signature, TOGETHER)
        self._until = time.monotonic() + SECONDS
        self._measured: set[int] = set()
        """Sizes of batches."""

    def go(self, rows: Sequence[Tensors]) -> Sharing:
        """Run rows of the package, or one that is made up, then batches. Raises what the model raises."""
        if isinstance(self._model, Streaming) and self._model.streams and not self._model.whole:
            _first_piece(self._model, rows[0] if rows else next(made_up(self._loaded)))
            return self._unknown("it answers in pieces")
        first, answer = self._begun(rows)
        again = self._measure(first, self._joiner.fit(first).cost)
        sharing = self._loaded.sharing
        if sharing is UNTRIED:
            sharing = self._tried(first, (answer, again), max(rows, key=self._length, default=first))
        self._measure_larger(first, sharing)
        return sharing

    def _begun(self, rows: Sequence[Tensors]) -> tuple[Tensors, Tensors]:
        """The row to go on with, and its answer, once all rows have run for which there is time."""
        if not rows:
            return _fit_for(self._loaded)
        answer = self._model.predict(rows[0])
        for row in rows[1:]:
            if self._late:
                break
            self._model.predict(row)
        return rows[0], answer

    @property
    def _late(self) -> bool:
        return time.monotonic() > self._until

    def _length(self, row: Tensors) -> int:
        return self._joiner.fit(row).length

    def _tried(self, row: Tensors, answers: tuple[Tensors, Tensors], longest: Tensors) -> Sharing:
        if objection := objections(self._package, self._model.signature):
            return refused(self._package, objection)
        coarse = self._package.external is not None or is_accelerated(self._model)
        if why := departure(*answers, coarse, "from one call to the next"):
            return refused(self._package, f"equal inputs get different answers: {why}")
        whole, answer = self._length(longest) <= LENGTH, answers[1]
        if longest is not row or not whole:
            row = longest if whole else cut(longest, self._model.signature, FEW)
            answer = self._model.predict(row)
        trial = Trial(self._model, row, answer, coarse=coarse, gaps=replaceable(self._package))
        if hindrance := self._hindrance(trial, self._cost.seconds(self._joiner.fit(row).cost)):
            return self._unknown(hindrance)
        return self._outcome(trial, row, whole)

    def _outcome(self, trial: Trial, row: Tensors, whole: bool) -> Sharing:
        """``whole``: rows of the trial cost what rows of the warm-up do."""
        if why := trial.miscount():
            return refused(self._package, why)
        if not is_graph(self._package) and not self._package.batching and (why := trial.stray()):
            return self._unknown(f"{why}, which may be the longest row's; declare it if it is fixed")
        for size in self._sizes(trial, whole):
            if self._late:
                return self._unknown(SLOW)
            if why := trial.company(size, self._runner(row, size) if whole else self._model.predict):
                return refused(self._package, why)
        if why := trial.monotony():
            return self._unknown(why)
        return trial.lengths()

    def _hindrance(self, trial: Trial, seconds: float) -> str:
        """Why a trial can't show anything; ``seconds`` are what a run takes."""
        if time.monotonic() + LEAST_RUNS * seconds > self._until:
            return SLOW
        return trial.hindrance(max(1, min(MOST, int(EXTRA / seconds))) if seconds else MOST)

    def _sizes(self, trial: Trial, whole: bool) -> tuple[int, int]:
        """Batches of a trial: of two rows, and of so many that each row or one of them is in it twice."""
        if whole and self._max_batch >= 2 * trial.rows:
            return 2, 2 * trial.rows
        return 2, trial.rows + 1

    def _runner(self, row: Tensors, size: int) -> Run:
        """What runs a batch of a trial; those that the warm-up needs as well are measured."""
        if size > self._max_batch or size & (size - 1):
            return self._model.predict
        self._measured.add(size)
        return partial(self._measure, cost=size * self._joiner.fit(row).cost)

    def _measure_larger(self, first: Tensors, sharing: Sharing) -> None:
        """Batches that no trial has measured."""
        fit, size = self._joiner.fit(first), 2
        while sharing.rows and size <= self._max_batch and not self._late:
            if size not in self._measured:
                self._measure(self._joiner.assemble([first] * size, [fit] * size), size * fit.cost)
            size *= 2

    def _unknown(self, why: str) -> Sharing:
        return unknown(self._package, self._model.signature, why)

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
