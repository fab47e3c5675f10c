"""Runs batches: calls wait in the queue, worker threads take them, the event loop gets the results.

The event loop runs the model only where that takes less than a hand-over (see ``express``). One lock guards
the queue; a worker that is done takes its next batch without asking the loop. A *run* is one call of the
model.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modelserve.batching.calls import Call, Item
from modelserve.batching.forming import partition
from modelserve.batching.joining import Fit, Joiner
from modelserve.batching.queue import BatchQueue
from modelserve.domain.inference import InferenceRequest, Tensors
from modelserve.errors import DeadlineExceeded, ModelServeError, Unavailable
from modelserve.runtimes.base import DEADLINE, Model
from modelserve.serving.express import Express, Ran, model_failed
from modelserve.serving.jobs import Job

Waited = Callable[[float], None]
"""Told of each item: the seconds from its call's arrival in the queue to its batch."""


class _Pending:
    """A call on the loop's side: a future of its jobs, settled when the last is done or the first failed."""

    def __init__(self, jobs: Sequence[Job], future: asyncio.Future[list[Any]]) -> None:
        self.jobs, self.future = jobs, future
        self.left = len(jobs)

    def done(self, job: Job) -> bool:
        """Count a job that is done; whether the call is to be dropped because of it."""
        self.left -= 1
        if self.future.done():
            return False
        if job.error is not None:
            self.future.set_exception(job.error)
            return True
        if not self.left:
            self.future.set_result([each.result for each in self.jobs])
        return False


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of the model: its rows, its cost (see ``batching.cost``) and its seconds."""

    rows: int
    cost: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Report:
    """What a worker hands to the loop after a batch."""

    items: Sequence[Item]
    started: float
    runs: Sequence[_Run]


class Engine:
    """One model, its queue and its workers. Made and used on the event loop's thread."""

    def __init__(
        self, model: Model, joiner: Joiner, queue: BatchQueue, threads: int, ran: Ran, waited: Waited, *,
        at_once: bool = True,
    ) -> None:  # fmt: skip
        self.joiner = joiner
        self._model, self._queue, self._cost = model, queue, queue.cost
        self._ran, self._waited = ran, waited
        self._express = Express(model, joiner, queue.cost, ran) if at_once else None
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition(threading.Lock())
        self._idle = threads
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"model-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Calls that wait for a free worker."""
        return self._queue.waiting

    def require_room(self) -> None:
        """Raise Overloaded if the queue is full."""
        self._queue.require_room()

    async def run_one(self, job: Job, request: InferenceRequest) -> Any:
        """The result of one job that has its tensors; raises what :meth:`run` raises."""
        now = time.monotonic()
        if self._express is not None and not self._queue.waiting and self._express.takes(job, now):
            return self._express.run(job, now, request.deadline)
        (result,) = await self.run([job], request)
        return result

    async def run(self, jobs: Sequence[Job], request: InferenceRequest) -> list[Any]:
        """The jobs' results, in order. Cancelling the caller drops what still waits.

        Raises Overloaded if the queue is full, DeadlineExceeded at the request's deadline or as soon as it is
        clear that it can't be kept, ModelFailed for an item that the model fails on even alone, or what a
        job's ``prepare`` raises.
        """
        now, deadline = time.monotonic(), request.deadline
        pending = _Pending(jobs, self._loop.create_future())
        call = Call(now, deadline, request.priority, owner=pending)
        for job in jobs:
            fit = job.fit or self._unprepared()
            call.add(fit.kind, fit.rows, (pending, job), fit.size)
        self._offer(call, len(jobs))
        timer = None
        if deadline is not None:
            timer = self._loop.call_later(max(0.0, deadline - now), self._expire, pending)
        try:
            return await pending.future
        finally:
            if timer is not None:
                timer.cancel()
            if pending.left:
                self._drop(call)

    def _unprepared(self) -> Fit:
        """A fit for an item without tensors yet: such items are prepared and run together, if they may."""
        return _UNPREPARED if self.joiner.joinable else Fit(object(), 1)

    def _offer(self, call: Call, items: int) -> None:
        with self._wake:
            if self._closed:
                raise Unavailable("the server is stopping")
            self._queue.offer(call)
            if self._idle:
                self._wake.notify(items)

    def _drop(self, call: Call) -> None:
        with self._wake:
            self._queue.cancel(call)

    def _expire(self, pending: _Pending) -> None:
        if not pending.future.done():
            pending.future.set_exception(DeadlineExceeded("the deadline passed before the answer was there"))

    def close(self, wait: float = 1.0) -> bool:
        """Stop the workers after the batches that they run; whether all stopped in time (seconds)."""
        self._express = None
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        until = time.monotonic() + wait
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # On the worker threads.

    def _work(self) -> None:
        while items := self._next():
            started = time.monotonic()
            runs = self._execute(items)
            with self._wake:
                self._idle += 1
                for run in runs:
                    self._cost.learn(run.cost, run.seconds)
                for item in items:
                    if item.payload[1].error is not None:
                        self._queue.cancel(item.call)  # before the next is taken: the call has failed
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._deliver, _Report(items, started, runs))

    def _next(self) -> Sequence[Item]:
        """The next batch, waited for; empty when the engine is closed."""
        with self._wake:
            while not self._closed:
                now = time.monotonic()
                items = self._queue.take(now, self._idle)
                if self._queue.late:
                    self._tell_late()
                if items:
                    self._idle -= 1
                    return items
                self._wake.wait(self._queue.due(now))
            return ()

    def _tell_late(self) -> None:
        """Hand the calls that can't be answered in time to the loop; each was dropped by the queue."""
        late, self._queue.late = self._queue.late, []
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._refuse_late, late)

    def _execute(self, items: Sequence[Item]) -> list[_Run]:
        runs: list[_Run] = []
        groups: dict[Any, list[Item]] = {}
        for item in items:
            if fit := self._prepared(item.payload[1]):
                item.size = fit.size
                groups.setdefault(fit.kind, []).append(item)
        for group in groups.values():
            for batch in partition(group, len(group) * max(item.rows for item in group), self._cost):
                self._run(batch, runs)
        return runs

    def _prepared(self, job: Job) -> Fit | None:
        if job.fit is None:
            try:
                job.prepare(self.joiner)
            except BaseException as error:  # a library's panic is no Exception; the thread lives on
                job.error = _failure(error)
        return job.fit

    def _run(self, group: Sequence[Item], runs: list[_Run]) -> None:
        """Run items of one kind together; if that fails, one by one, so that one bad item fails alone.

        Where no item is to blame (the engine is out of reach), none is run again.
        """
        jobs: list[Job] = [item.payload[1] for item in group]
        DEADLINE.set(_latest_deadline(group))
        try:
            pieces = self._predict(jobs, runs)
        except BaseException as error:  # as above
            alone = len(group) == 1 or (isinstance(error, ModelServeError) and error.retryable)
            for job in jobs if alone else ():
                job.error = model_failed(error)
            for item in () if alone else group:
                if not item.call.dead:  # else nobody waits for it any more
                    self._run([item], runs)
            return
        for job, piece in zip(jobs, pieces, strict=True):
            try:
                job.finish(piece)
            except BaseException as error:  # as above
                job.error = _failure(error)

    def _predict(self, jobs: Sequence[Job], runs: list[_Run]) -> list[Tensors]:
        fits = [job.fit for job in jobs if job.fit is not None]
        batch = self.joiner.assemble([job.tensors for job in jobs], fits)
        started = time.monotonic()
        outputs = self._model.predict(batch, jobs[0].outputs)
        rows = sum(fit.rows for fit in fits)
        runs.append(_Run(rows, rows * max(fit.size for fit in fits), time.monotonic() - started))
        return self.joiner.split(outputs, fits)

    # On the event loop's thread again.

    def _deliver(self, report: _Report) -> None:
        for item in report.items:
            pending, job = item.payload
            if pending.done(job):
                self._drop(item.call)
            self._waited(report.started - item.call.arrived)
        for run in report.runs:
            self._ran(run.rows, run.seconds)

    def _refuse_late(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self._expire(call.owner)


def _latest_deadline(items: Sequence[Item]) -> float | None:
    """When the last of these calls stops waiting; None if one of them never does."""
    known = [item.call.deadline for item in items if item.call.deadline is not None]
    return max(known) if known and len(known) == len(items) else None


_UNPREPARED = Fit("unprepared", 1)


def _failure(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else model_failed(error)
