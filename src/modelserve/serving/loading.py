"""From a folder to a model in memory, through the ports."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from modelserve.domain.models import Allowed, Device, ModelPackage, Runtime, Task
from modelserve.errors import InvalidPackage
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.runtimes.base import Model, Tunable
from modelserve.runtimes.external import check
from modelserve.runtimes.isolated import Hosting, IsolatedModel
from modelserve.serving.calibrations import Calibrations, Circumstances
from modelserve.serving.served import Loaded, Tuning
from modelserve.settings import ServerSettings
from modelserve.tasks import task_for

Word = TypeVar("Word", bound=StrEnum)


def load(settings: ServerSettings) -> Loaded:
    """Read the package and load its model. Takes seconds, blocks. Raises InvalidPackage."""
    task = _known("task", Task, settings.task)
    package = _as_told(
        open_package(settings.package, task, _known("runtime", Runtime, settings.runtime)), settings
    )
    _require_allowed(package, settings)
    device = _known("device", Device, settings.device) or Device.AUTO
    if _is_isolated(package, settings):
        return Loaded(package, _isolated(package, settings, device), task_for(package))
    runtime = runtime_for(package.runtime, device, settings.graphs)
    if isinstance(runtime, Tunable):
        return _tuned(package, settings, runtime)
    return Loaded(package, runtime.load(package), task_for(package))


def _as_told(package: ModelPackage, settings: ServerSettings) -> ModelPackage:
    """The package; what the settings say of its runs beats what it says itself."""
    batching = package.batching if settings.batching is None else settings.batching
    return replace(package, batching=batching, warm_up=package.warm_up and settings.warm_up)


def _tuned(package: ModelPackage, settings: ServerSettings, runtime: Tunable) -> Loaded:
    """The model on as many cores as was told or found out earlier, else on one."""
    circumstances = Circumstances.of(package.digest, runtime.engine, settings)
    plan = Calibrations(settings.calibrations).find(circumstances)
    cores = plan.crew.cores if plan is not None else settings.cores_per_run or 1
    tuning = Tuning(circumstances, lambda cores: runtime.on_cores(cores).load(package))
    return Loaded(package, tuning.on_cores(cores), task_for(package), tuning, plan)


def _require_allowed(package: ModelPackage, settings: ServerSettings) -> None:
    """Raise InvalidPackage for what the operator has not allowed."""
    if package.code is not None and not settings.allow_code:
        raise InvalidPackage(
            f"{package.path.name}: answers with code of its own ({package.code.entry}), which the platform's "
            f"operator has not allowed: modelserve up --allow-code"
        )
    if package.pickled and not settings.allow_pickle:
        raise InvalidPackage(
            f"{package.model_file.name}: is a pickle, which the platform's operator has not allowed: "
            f"save it with skops.io.dump(), or modelserve up --allow-pickle"
        )
    if package.external is not None:
        check(package.external.url, Allowed(hosts=settings.allow_external))


def _is_isolated(package: ModelPackage, settings: ServerSettings) -> bool:
    return package.external is None and (package.code is not None or settings.isolated)


def _isolated(package: ModelPackage, settings: ServerSettings, device: Device) -> Model:
    """The model in processes of its own."""
    return IsolatedModel(
        Hosting(
            package,
            processes=settings.engine_processes,
            lanes=1 if package.code is not None else settings.worker_threads,
            limit=settings.engine_limit,
            max_memory=settings.engine_memory,
            device=device,
            graphs=settings.graphs,
        )
    )


def _known(field: str, words: type[Word], given: str | None) -> Word | None:
    if given is None:
        return None
    try:
        return words(given)
    except ValueError:
        known = ", ".join(f'"{word}"' for word in words)
        raise InvalidPackage(f'{field}: got "{given}"; this server knows {known}') from None
