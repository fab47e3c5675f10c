"""Many runs of one scene, over several processes, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from math import sqrt
from multiprocessing import get_context
from typing import Any

import numpy as np

from modelserve.domain.services import RolloutSpec
from modelserve.rehearsal.drive import Journey, Outcome
from modelserve.rehearsal.scene import Scene, Stage

BATCH = 5
"""Runs that a process does before it tells of them."""
_Z = 1.959963984540054  # of 95 %

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the runs that have the figure: the median and the 90th percentile; None: no run has it."""

    p50: float | None
    p90: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if not values:
            return cls(None, None)
        return cls(float(np.median(values)), float(np.quantile(values, 0.9)))


@dataclass(frozen=True, slots=True)
class Summary:
    """What the runs of one scene came to."""

    scene: Scene
    outcomes: tuple[Outcome, ...]

    def ended(self, end: str) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.end == end)

    def share(self, *ends: str) -> float:
        """Of runs that ended so, in 0..1."""
        return sum(len(self.ended(end)) for end in ends) / len(self.outcomes)

    def bounds(self, end: str) -> tuple[float, float]:
        """Where the chance of this end lies, with 95 % confidence."""
        return wilson(len(self.ended(end)), len(self.outcomes))

    @property
    def extra_failures(self) -> Spread:
        return Spread.of([outcome.extra_failures for outcome in self.outcomes])

    @property
    def candidate_requests(self) -> Spread:
        return Spread.of([outcome.candidate_requests for outcome in self.outcomes])

    @property
    def half(self) -> Spread:
        return Spread.of([outcome.half for outcome in self.outcomes if outcome.half is not None])

    @property
    def to_promote(self) -> Spread:
        """Also of runs that probation rolled back afterwards."""
        return Spread.of([outcome.promoted for outcome in self.outcomes if outcome.promoted is not None])

    @property
    def to_roll_back(self) -> Spread:
        return Spread.of([outcome.seconds for outcome in self.ended("rolled back")])

    @property
    def deciding(self) -> dict[str, int]:
        """What decided the runs that did not end in a promotion, the most frequent first."""
        named = (o.metric for o in self.outcomes if o.end != "promoted" and o.metric)
        return dict(Counter(named).most_common())

    def as_json(self) -> dict[str, Any]:
        return {
            "regression": self.scene.regression.text,
            "runs": len(self.outcomes),
            "rolled_back": _chance(self, "rolled back"),
            "promoted": _chance(self, "promoted"),
            "undecided": self.share("held", "undecided"),
            "extra_failures": _spread(self.extra_failures),
            "candidate_requests": _spread(self.candidate_requests),
            "seconds_to_roll_back": _spread(self.to_roll_back),
            "seconds_to_half": _spread(self.half),
            "seconds_to_promote": _spread(self.to_promote),
            "decided_by": self.deciding,
        }


def wilson(hits: int, runs: int) -> tuple[float, float]:
    """95 % limits of a chance. Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209."""
    share, scale = hits / runs, 1 + _Z**2 / runs
    middle = share + _Z**2 / (2 * runs)
    reach = _Z * sqrt(share * (1 - share) / runs + _Z**2 / (4 * runs**2))
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def _chance(summary: Summary, end: str) -> dict[str, float]:
    low, high = summary.bounds(end)
    return {"share": summary.share(end), "low": low, "high": high}


def _spread(spread: Spread) -> dict[str, float | None]:
    return {"p50": spread.p50, "p90": spread.p90}


def rehearse(spec: RolloutSpec, scene: Scene, seed: int, seconds: float) -> Outcome:
    """One run, up to the promotion; of a fault that starts late, up to the end of probation."""
    late = scene.regression.after > 0
    return Journey(
        spec, Stage(scene, spec, seed), scene.tick, blind=True, probation=late, rate=scene.rate
    ).run(seconds)


def simulate(
    spec: RolloutSpec,
    scenes: Sequence[Scene],
    runs: int,
    seed: int,
    seconds: float,
    processes: int = 1,
    told: Told = lambda _: None,
) -> list[Summary]:
    """All runs of all scenes; equal arguments give equal results, whatever ``processes`` is.

    ``told`` hears of every few runs that are done.
    """
    jobs = [(index, first) for index in range(len(scenes)) for first in range(0, runs, BATCH)]
    work = [
        (spec, scenes[index], range(seed + first, seed + min(runs, first + BATCH)), seconds)
        for index, first in jobs
    ]
    found: dict[int, list[Outcome]] = {}
    for number, outcomes in _done(work, processes):
        found[number] = outcomes
        told(len(outcomes))
    by_scene: list[list[Outcome]] = [[] for _ in scenes]
    for number, (index, _) in enumerate(jobs):
        by_scene[index] += found[number]
    return [Summary(scene, tuple(all_)) for scene, all_ in zip(scenes, by_scene, strict=True)]


Work = tuple[RolloutSpec, Scene, range, float]


def _done(work: Sequence[Work], processes: int) -> Iterator[tuple[int, list[Outcome]]]:
    if min(processes, len(work)) == 1:
        yield from ((number, _batch(job)) for number, job in enumerate(work))
        return
    with ProcessPoolExecutor(min(processes, len(work)), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_batch, job): number for number, job in enumerate(work)}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _batch(job: Work) -> list[Outcome]:
    spec, scene, seeds, seconds = job
    return [rehearse(spec, scene, seed, seconds) for seed in seeds]
