"""Runs so short that they take place on the event loop: handing them to a thread would cost as much.

Whether a run is short is known from the warm-up, where it ran alone; a worker's runs also wait for the
interpreter. If inputs turn out to cost much more, the workers take over for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from modelserve.batching.cost import CostModel
from modelserve.batching.joining import Joiner
from modelserve.errors import DeadlineExceeded, ModelFailed, ModelServeError
from modelserve.runtimes.base import Model
from modelserve.serving.jobs import Job

AT_ONCE = 100e-6
"""Seconds of a run up to which it takes place on the event loop: handing it to a thread costs as much."""
SURPRISING = 10 * AT_ONCE
"""Seconds from which such a run is a surprise: an input that costs more, or a machine that is busy."""
ENOUGH, HEAVY, WARY = 20, 10 * AT_ONCE, 5.0
"""Runs between two surprises, and seconds of processor time for each of them, from which it was the inputs
and not the machine; then no run takes place on the event loop for so many seconds."""

Ran = Callable[[int, float], None]
"""Told of each run: rows and seconds."""


class Express:
    """Lives on the event loop's thread; ``cost`` is what the warm-up has found."""

    def __init__(self, model: Model, joiner: Joiner, cost: CostModel, ran: Ran) -> None:
        self._model, self._joiner, self._ran = model, joiner, ran
        self._alone = CostModel(cost.fixed, cost.per_cost)
        self._not_before = 0.0
        self._runs, self._judged = 0, (0, time.thread_time())

    def takes(self, job: Job, now: float) -> bool:
        """Whether the job is short enough; ``now`` is a reading of the monotonic clock."""
        return now >= self._not_before and 0.0 < self._alone.seconds(job.cost) < AT_ONCE

    def run(self, job: Job, now: float, deadline: float | None) -> Any:
        """The job's result. Raises DeadlineExceeded, ModelFailed or what the model or ``finish`` raises."""
        if deadline is not None and now >= deadline:
            raise DeadlineExceeded("the deadline passed before the request could run")
        try:
            outputs = self._model.predict(job.tensors, job.outputs)
        except (Exception, SystemExit) as error:
            failed = model_failed(error)
            raise failed from failed.__cause__
        seconds = time.monotonic() - now
        self._runs += 1
        self._ran(job.rows, seconds)
        if seconds > SURPRISING:
            self._surprised(now)
        self._joiner.check(outputs, job.rows)
        job.finish(outputs)
        return job.result

    def _surprised(self, now: float) -> None:
        """A run held up the loop; if that was its own doing, the workers take over for a while."""
        runs, spent = self._runs - self._judged[0], time.thread_time() - self._judged[1]
        if runs >= ENOUGH:
            self._judged = (self._runs, time.thread_time())
            if spent > HEAVY * runs:
                self._not_before = now + WARY


def model_failed(error: BaseException) -> Exception:
    """The error as clients may see it: of what is not ours, only that the model failed."""
    if isinstance(error, ModelServeError):
        return error
    failed = ModelFailed("the model failed on this input")
    failed.__cause__ = error
    return failed
