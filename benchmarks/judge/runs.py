"""Run the cases: many seeds of each, spread over processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import zip_longest

from benchmarks.judge import others
from benchmarks.judge.cases import Case, cases
from modelserve.rehearsal.drive import Outcome, drive

JUDGE = "ModelServe"
Task = tuple[str, str, range]
CHUNK = 20
LEAST = 20
OTHERS_PART = 0.2
"""Of the judge's runs: what the other tools do shows in fewer."""
OTHERS_TIME = 4000.0
"""Seconds: their rules need longer than the judge."""


@dataclass(frozen=True)
class Batch:
    case: str
    who: str
    outcomes: tuple[Outcome, ...]


def run(
    chosen: Sequence[Case], runs: int, seed: int, processes: int, minutes: float
) -> dict[tuple[str, str], list[Outcome]]:
    """Outcomes by case and who decided; ``seed`` is the first one of all.

    Cases take turns, so that when ``minutes`` are over each has had about its part of what was possible.
    """
    tasks = _in_turns([list(_tasks(case, runs, seed)) for case in chosen])
    found: dict[tuple[str, str], list[Outcome]] = {}
    begun = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        waiting = [pool.submit(_batch, task) for task in tasks]
        try:
            for done, future in enumerate(as_completed(waiting, timeout=60 * minutes), 1):
                batch = future.result()
                found.setdefault((batch.case, batch.who), []).extend(batch.outcomes)
                spent = time.monotonic() - begun
                print(f"\r{done} of {len(tasks)} batches, {spent:.0f} s", end="", file=sys.stderr)
        except TimeoutError:
            pool.shutdown(wait=False, cancel_futures=True)
    print(file=sys.stderr)
    return found


def _in_turns(queues: list[list[Task]]) -> list[Task]:
    return [task for turn in zip_longest(*queues) for task in turn if task is not None]


def _tasks(case: Case, runs: int, seed: int) -> Iterator[Task]:
    """The judge and the other tools take turns, too."""
    mine = max(LEAST, round(runs * case.runs))
    numbers = {JUDGE: mine}
    if case.others:
        numbers |= dict.fromkeys(others.OTHERS, max(LEAST, round(mine * OTHERS_PART)))
    yield from _in_turns([list(_chunks(case.name, who, seed, count)) for who, count in numbers.items()])


def _chunks(name: str, who: str, seed: int, count: int) -> Iterator[Task]:
    for begin in range(0, count, CHUNK):
        yield name, who, range(seed + begin, seed + min(begin + CHUNK, count))


def _batch(task: Task) -> Batch:
    name, who, seeds = task
    case = next(case for case in cases() if case.name == name)
    if who == JUDGE:
        ends = tuple(drive(case.spec, case.world, seed, case.seconds) for seed in seeds)
    else:
        made = others.OTHERS[who]
        ends = tuple(others.drive(made(), case.world, seed, OTHERS_TIME) for seed in seeds)
    return Batch(name, who, ends)
