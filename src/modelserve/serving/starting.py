"""From a package to a model that answers: load it, warm it up, start its workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelserve._kit.threads import on_daemon_thread
from modelserve.batching.cost import CostModel
from modelserve.batching.plans import Plan
from modelserve.batching.queue import BatchQueue
from modelserve.runtimes.base import Outside, why_turns
from modelserve.serving.caching import CachedServed, is_cacheable
from modelserve.serving.calibrating import calibrate, needs_calibration
from modelserve.serving.calibrations import Calibrations
from modelserve.serving.engine import Engine
from modelserve.serving.features import remembering
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded, Served
from modelserve.serving.settling import settled, usual
from modelserve.serving.warming.warmup import warm_up
from modelserve.settings import ServerSettings
from modelserve.stores.cache import Cache, open_cache
from modelserve.telemetry import ServerTelemetry

Loader = Callable[[ServerSettings], Loaded]


class Starter:
    """Starts models for the repository; ``load`` turns settings into a model in memory, on a thread."""

    def __init__(
        self, settings: ServerSettings, telemetry: ServerTelemetry, log: EventLog, load: Loader
    ) -> None:
        self._settings, self._telemetry, self._log, self._load = settings, telemetry, log, load
        self._store: Cache | None = None

    async def __call__(self, name: str, version: str, package: Path) -> Served:
        """Raises InvalidPackage, or whatever a defect raises."""
        settings = self._settings.model_copy(
            update={"service": name, "revision": version, "package": package}
        )
        loaded, cost = await on_daemon_thread(lambda: self._warm(settings))
        return self.serve(settings, loaded, cost)

    def _warm(self, settings: ServerSettings) -> tuple[Loaded, CostModel]:
        loaded, cost, log = self._load(settings), CostModel(), self._about(settings)
        try:
            loaded = warm_up(loaded, _plan(settings, loaded).max_batch, log, cost)
            if needs_calibration(loaded, settings, cost):
                return self._calibrated(loaded, settings, cost)
        except BaseException:
            loaded.model.close()
            raise
        return loaded, cost

    def _calibrated(
        self, loaded: Loaded, settings: ServerSettings, cost: CostModel
    ) -> tuple[Loaded, CostModel]:
        """What is found out is remembered; a model that was loaded anew is warmed up anew."""
        log = self._about(settings)
        found = calibrate(loaded, settings, cost, log)
        if found.plan is not None and found.tuning is not None:
            findings = Calibrations(settings.calibrations)
            findings.keep(found.tuning.circumstances, found.plan)
        if found.model is not loaded.model:
            cost = CostModel()
            found = warm_up(found, _plan(settings, found).max_batch, log, cost)
        return found, cost

    def _about(self, settings: ServerSettings) -> EventLog:
        """The log of a server of many models, for what concerns one."""
        return self._log.about(model=settings.service, version=settings.revision)

    def serve(self, settings: ServerSettings, loaded: Loaded, cost: CostModel) -> Served:
        """Start the workers of a loaded model."""
        settings = settled(settings, _plan(settings, loaded))
        if turns := why_turns(loaded.model):
            self._about(settings).info("runs_take_turns", reason=turns)
        figures = self._telemetry.of(settings.service, settings.revision)
        loaded = remembering(loaded, settings, figures)
        model = loaded.model
        threads = model.lanes if isinstance(model, Outside) else settings.worker_threads
        delay = settings.max_delay if loaded.joiner.joinable else 0.0  # else no company can come
        queue = BatchQueue(settings.batch_size, delay, settings.max_waiting, threads, cost)
        figures.waiting = lambda: queue.waiting
        if isinstance(model, Outside):
            figures.vitals = model.vitals
        engine = Engine(
            loaded.model, loaded.joiner, queue, threads, figures.ran, figures.queue_wait.add,
            at_once=model.steady and loaded.even and not delay,
        )  # fmt: skip
        named = (settings.service, settings.revision, loaded, engine, settings, figures)
        if settings.cache_ttl is None or not is_cacheable(loaded):
            return Served(*named)
        return CachedServed(*named, self._cache())

    def _cache(self) -> Cache:
        """The cache of answers, which all models share. Raises InvalidInput or Unavailable."""
        if self._store is None:
            self._store = open_cache(self._settings.cache_url, self._settings.cache_bytes)
        return self._store

    async def close(self) -> None:
        """Let go of what lies outside of the process."""
        if self._store is not None:
            await self._store.close()


def _plan(settings: ServerSettings, loaded: Loaded) -> Plan:
    return loaded.plan or usual(settings, loaded.model)
