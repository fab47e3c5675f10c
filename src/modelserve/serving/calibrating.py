"""Measures which settings suit a model on this machine, before anyone waits for it.

Only what the operator left open is measured, and only where it can make a difference: a model whose run is
over within a millisecond is as fast with any of them. What is compared takes turns, so that other work on the
machine hurts all alike; where there is much of it, what was measured is dropped.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from modelserve._kit.machine import usable_cores
from modelserve.batching.cost import CostModel
from modelserve.batching.plans import (
    LEAST_TURNS,
    SIZES,
    Crew,
    Plan,
    alternatives,
    clearly_better,
    useful_size,
    worth_going_on,
)
from modelserve.domain.inference import Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import ModelServeError
from modelserve.runtimes.base import Model, is_accelerated
from modelserve.serving.logs import EventLog
from modelserve.serving.memory import trim
from modelserve.serving.served import Loaded, Tuning
from modelserve.serving.settling import told, usual
from modelserve.serving.warming.warmup import an_item
from modelserve.settings import ServerSettings

WORTHWHILE = 1e-3
"""Seconds of a run from which it is measured."""
BURST = 0.04
"""Seconds that each worker is kept busy for one rate; at least one run."""
ROUNDS = 3
"""Bursts of a kind, at most."""
FEWEST = 8
"""Runs of one item that there must be time for; else nothing is measured."""
UNDISTURBED = 0.85
"""Share of the cores' time that the usual crew must get; with less, what is measured is the other work."""
LARGEST = 1024**3
"""Bytes of a package up to which a second copy of the model is loaded to compare it."""


def needs_calibration(loaded: Loaded, settings: ServerSettings, cost: CostModel) -> bool:
    """Whether something is left open that a measurement could tell; ``cost`` is known from the warm-up."""
    if loaded.tuning is None or loaded.plan is not None or not settings.calibration:
        return False
    left_open = settings.max_batch is None or _crew_is_open(settings)
    if not left_open or not cost.known:
        return False
    return WORTHWHILE <= _seconds(loaded, cost) <= settings.calibration / FEWEST


@dataclass(frozen=True, slots=True)
class Burst:
    """Some runs: how long they took together, and which share of its workers' time they had a core."""

    seconds: float
    share: float


RunBurst = Callable[[Model, Crew, Tensors, int], Burst]
"""Runs a batch so many times, by all workers of the crew at once."""


def run_burst(model: Model, crew: Crew, batch: Tensors, runs: int) -> Burst:
    with ThreadPoolExecutor(crew.workers) as pool:
        started, spent = time.monotonic(), time.process_time()
        for _ in pool.map(model.predict, [batch] * runs):
            pass
        seconds = time.monotonic() - started
        had = (time.process_time() - spent) / (seconds * min(crew.workers * crew.cores, usable_cores()))
    return Burst(seconds, 1.0 if is_accelerated(model) else had)


def calibrate(
    loaded: Loaded, settings: ServerSettings, cost: CostModel, log: EventLog, run: RunBurst = run_burst
) -> Loaded:
    """The model, perhaps loaded again with other cores, and the plan for it.

    Takes about ``settings.calibration`` seconds, and as long as loading takes for each number of cores that
    is tried. A model that fails over it, or a machine that is busy with other things, leave it as is usual,
    without a plan.
    """
    trial, started = _Trial(loaded, settings, cost, run), time.monotonic()
    try:
        plan = trial.plan()
    except ModelServeError as error:
        log.warning("calibration_failed", message=str(error))
        return replace(loaded, model=trial.model)
    seconds = round(time.monotonic() - started, 3)
    if trial.disturbed and trial.model is loaded.model:
        log.info("calibration_disturbed", seconds=seconds, hint="other work took the cores")
        return loaded
    log.info("calibrated", **told(plan), seconds=seconds, items_per_second=trial.told)
    return replace(loaded, model=trial.model, plan=plan)


def _crew_is_open(settings: ServerSettings) -> bool:
    return not settings.threads and not settings.cores_per_run


def _seconds(loaded: Loaded, cost: CostModel) -> float:
    """What a run of one item takes."""
    return cost.seconds(loaded.joiner.fit(an_item(loaded)).cost)


class _Trial:
    """One model's measurements. ``model`` is what answers from now on; ``told`` is for the log."""

    def __init__(self, loaded: Loaded, settings: ServerSettings, cost: CostModel, run: RunBurst) -> None:
        self.model, self.told = loaded.model, dict[str, float]()
        self._run, self._shares = run, list[float]()
        self._tuning, self._settings = loaded.tuning, settings
        self._usual = usual(settings, loaded.model)
        self._item, self._joiner = an_item(loaded), loaded.joiner
        self._seconds = _seconds(loaded, cost)
        self._tries_crews = _tries_crews(loaded, settings)
        self._tries_sizes = settings.max_batch is None and self._joiner.joinable

    def plan(self) -> Plan:
        """Raises ModelServeError if the model fails."""
        seconds = self._settings.calibration / (self._tries_crews + self._tries_sizes or 1)
        crew, size = self._usual.crew, self._usual.max_batch
        if self._tries_sizes:
            size = useful_size(self._sizes(seconds), size)
        if self._tries_crews and self._tuning is not None and not self.disturbed:
            crew = self._crews(self._tuning, size if self._joiner.joinable else 1, seconds)
        return Plan(crew, size)

    @property
    def disturbed(self) -> bool:
        """Whether other work took so much of the cores that the rates tell nothing."""
        return bool(self._shares) and statistics.median(self._shares) < UNDISTURBED

    def _sizes(self, seconds: float) -> dict[int, float]:
        """The rate of each size that there is time for and that may be of use."""
        rates: dict[int, float] = {}
        until, sizes = time.monotonic() + seconds, list(SIZES)
        for _ in range(ROUNDS):
            for size in sizes:
                if time.monotonic() + self._burst(size) > until or not _goes_on(rates, size):
                    break
                rate = self._rate(self.model, self._usual.crew, size)
                rates[size] = max(rate, rates.get(size, 0.0))
            sizes = list(rates)
        self.told |= {f"batch {size}": round(rate, 1) for size, rate in rates.items()}
        return rates

    def _crews(self, tuning: Tuning, size: int, seconds: float) -> Crew:
        """The best crew, with ``model`` in its hands; the models of the others are closed."""
        crew = self._usual.crew
        for other in alternatives(crew):
            seconds /= 2
            fitting = self._fitting(size, seconds)
            if not fitting:
                break
            rival = tuning.on_cores(other.cores)
            try:
                turns = self._compare((crew, self.model), (other, rival), fitting, seconds)
                if self.disturbed or not clearly_better(turns):
                    break
                self.model, rival, crew = rival, self.model, other
            finally:
                rival.close()
                trim()
        return crew

    def _fitting(self, size: int, seconds: float) -> int:
        """The largest size of which two crews can be compared in time; 0 if there is none."""
        fit = (each for each in reversed(SIZES) if 2 * LEAST_TURNS * self._burst(each) <= seconds)
        return min(size, next(fit, 0))

    def _compare(
        self, own: tuple[Crew, Model], other: tuple[Crew, Model], size: int, seconds: float
    ) -> list[tuple[float, float]]:
        """The rates of both in each turn, for as many turns as there is time for."""
        other[1].predict(self._batch(size))  # the first run lays out memory
        turns: list[tuple[float, float]] = []
        until = time.monotonic() + seconds
        while len(turns) < ROUNDS and (len(turns) < LEAST_TURNS or time.monotonic() < until):
            turns.append((self._rate(own[1], own[0], size), self._rate(other[1], other[0], size)))
        for (crew, _), rates in zip((own, other), zip(*turns, strict=True), strict=True):
            self.told[f"{crew.workers} x {crew.cores} cores"] = round(max(rates), 1)
        return turns

    def _burst(self, size: int) -> float:
        """Seconds that a burst is likely to take."""
        return max(BURST, self._seconds * size)

    def _rate(self, model: Model, crew: Crew, size: int) -> float:
        """Items a second with all workers of the crew busy."""
        runs = crew.workers * max(1, round(BURST / (self._seconds * size)))
        burst = self._run(model, crew, self._batch(size), runs)
        if crew == self._usual.crew:
            self._shares.append(burst.share)
        return runs * size / burst.seconds

    def _batch(self, size: int) -> Tensors:
        return self._joiner.assemble([self._item] * size, [self._joiner.fit(self._item)] * size)


def _goes_on(rates: dict[int, float], size: int) -> bool:
    """Whether a size is worth a measurement, by the rates of those below it."""
    return worth_going_on({each: rate for each, rate in rates.items() if each < size})


def _tries_crews(loaded: Loaded, settings: ServerSettings) -> bool:
    if not _crew_is_open(settings) or is_accelerated(loaded.model):
        return False
    return _size(loaded.package) <= LARGEST


def _size(package: ModelPackage) -> int:
    """Bytes of all of its files."""
    path = package.path
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
