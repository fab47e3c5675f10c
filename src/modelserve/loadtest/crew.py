"""Processes that load a server together, and what they counted."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from modelserve.errors import Unavailable
from modelserve.loadtest import buckets
from modelserve.loadtest.buckets import Counts
from modelserve.loadtest.plans import Plan
from modelserve.loadtest.tallies import Tally

HEAD_START = 0.1
"""Seconds from the last connection to the first request: every process has heard of it by then."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What came in since the last report of one process."""

    seconds: float
    """Since the counting began; below 0 while it warms up."""
    good: Counts
    bad: int


def load(plan: Plan, processes: int = 1, told: Callable[[Progress], None] = lambda _: None) -> Tally:
    """Run a load test in so many processes. Raises Unavailable if nobody listens, InvalidInput."""
    parts = plan.split(processes)
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_worker(part)) for part in parts]
        for worker in workers:
            _require_open(_line(worker), plan)
        begin = time.monotonic() + HEAD_START
        for worker in workers:
            _say(worker, repr(begin))
        return _gathered(workers, told)


def _gathered(workers: list[subprocess.Popen[str]], told: Callable[[Progress], None]) -> Tally:
    tally = Tally()
    waiting = list(workers)
    while waiting:
        for worker in tuple(waiting):
            line = _line(worker)
            if "tally" in line:
                tally.merge(line["tally"])
                waiting.remove(worker)
            else:
                told(Progress(line["seconds"], buckets.dense(line["good"]), line["bad"]))
    return tally


@contextlib.contextmanager
def _worker(plan: Plan) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "modelserve.loadtest.worker"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    )
    try:
        _say(process, plan.as_json())
        yield process
    finally:
        process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.communicate()


def _say(worker: subprocess.Popen[str], line: str) -> None:
    assert worker.stdin is not None  # noqa: S101 - opened with PIPE
    with contextlib.suppress(BrokenPipeError):  # it has ended; that it says nothing will tell
        worker.stdin.write(line + "\n")
        worker.stdin.flush()


def _line(worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None  # noqa: S101 - opened with PIPE
    line = worker.stdout.readline()
    if not line:
        raise Unavailable(f"a process of the load generator ended with code {worker.wait()}")
    found: dict[str, Any] = json.loads(line)
    return found


def _require_open(line: dict[str, Any], plan: Plan) -> None:
    if "failed" in line:
        raise Unavailable(f"{plan.host}:{plan.port}: {line['failed']}")
