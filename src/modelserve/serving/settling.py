"""What the settings leave open, filled in: by what was found out about the model, else by what is usual."""

from __future__ import annotations

from modelserve.batching.plans import Crew, Plan
from modelserve.runtimes.base import Model, Outside, is_accelerated, why_turns
from modelserve.settings import ServerSettings

ACCELERATOR_WORKERS, ACCELERATOR_BATCH = 2, 32
"""On an accelerator: one batch runs while the next is put together, and a large one costs hardly more."""


def usual(settings: ServerSettings, model: Model | None = None) -> Plan:
    """As told; where nothing is told a worker for each core, one core a run, and a moderate batch.

    A model that takes no more batches at the same time than some number gets no more workers.
    """
    cores = settings.cores_per_run or 1
    if isinstance(model, Outside):
        return Plan(Crew(model.lanes, cores), settings.batch_size)
    if model is not None and why_turns(model):
        return Plan(Crew(1, cores), settings.batch_size)
    if model is not None and is_accelerated(model):
        workers = settings.threads or ACCELERATOR_WORKERS
        return Plan(Crew(workers, cores), settings.max_batch or ACCELERATOR_BATCH)
    return Plan(Crew(settings.worker_threads, cores), settings.batch_size)


def settled(settings: ServerSettings, plan: Plan) -> ServerSettings:
    """The settings with nothing left open."""
    return settings.model_copy(
        update={
            "threads": plan.crew.workers,
            "cores_per_run": plan.crew.cores,
            "max_batch": plan.max_batch,
        }
    )


def told(plan: Plan) -> dict[str, int]:
    """A plan in the words of logs and metadata."""
    return {"workers": plan.crew.workers, "cores_per_run": plan.crew.cores, "max_batch": plan.max_batch}
