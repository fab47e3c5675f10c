"""What people do with experiments, and what one tick does for them.

A service has an experiment or a rollout, never both: what answers must not change while people compare it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from modelserve.control.artefacts import obtain, resolve
from modelserve.control.book import Service
from modelserve.control.changes import identity, next_revision
from modelserve.control.noting import everyone, forget_found, forget_met, noting, take_note
from modelserve.control.platform import Platform
from modelserve.domain.experiments import (
    STABLE,
    Arm,
    Bandit,
    Direction,
    Experiment,
    ExperimentPhase,
    ExperimentState,
)
from modelserve.domain.quantities import format_duration
from modelserve.domain.services import ModelRef
from modelserve.domain.workloads import ReplicaPhase
from modelserve.errors import Conflict, InvalidSpec, NotFound
from modelserve.experiments.assignment import lay_out, move
from modelserve.experiments.bandit import thompson
from modelserve.experiments.ledger import Ledger

PATIENCE = 0.25
"""Seconds that a tick waits for what bandits have found; what takes longer is used by a later one."""

Case = tuple[str, float]
"""An experiment: its name and when it was applied."""
Json = dict[str, object]
_Model = tuple[ModelRef, str, Path]
"""What an arm names, its digest and the folder of its artefact."""


async def apply(platform: Platform, experiment: Experiment) -> tuple[ExperimentState, str]:
    """Begin an experiment, or give one that runs other weights.

    Raises NotFound for an unknown service, Conflict where the service has a rollout or another experiment or
    where more than the weights would change, and what a model may be refused for.
    """
    async with AsyncExitStack() as held:
        models: dict[str, _Model] = {}
        for arm in experiment.spec.arms:
            if arm.model is not None:
                model = await resolve(platform, arm.model)
                where = f"spec.arms.{arm.name}.model.uri"
                digest, folder = await held.enter_async_context(obtain(platform, model, where))
                models[arm.name] = model, digest, folder
        async with platform.book.lock:
            known = await find(platform, experiment.name)
            if known is not None:
                return await _weigh_anew(platform, known, experiment)
            service = platform.book.service(experiment.spec.service)
            _require_quiet(service)
            revisions = {}
            for arm in experiment.spec.arms:
                service, revisions[arm.name] = await _revision(platform, service, arm, models)
            state = _begin(experiment, revisions, platform.now())
            await platform.book.save_experiment(service, state)
    platform.in_force = False
    return state, f"{state.name} begins as soon as the servers of its arms are ready"


async def stop(platform: Platform, name: str) -> tuple[ExperimentState, str]:
    """Give the stable revision all traffic back. Raises NotFound, or Conflict if it is over already."""
    async with platform.book.lock:
        state = await get(platform, name)
        if not state.is_active:
            raise Conflict(f"{name} is over already: {state.reason}")
        state = await _end(platform, state, "stopped by hand")
    service = platform.book.service(state.service)
    return state, f"{name} is over; {service.stable} answers all requests of {service.name} again"


async def delete(platform: Platform, name: str) -> str:
    """Forget an experiment with its exposures and outcomes; one that runs ends by it. Raises NotFound."""
    async with platform.book.lock, noting(platform):
        state = await get(platform, name)
        service = await platform.book.delete_experiment(platform.book.service(state.service), name)
        forget_met(platform, [name])
    await forget_found(platform, [name])
    if not state.is_active:
        return f"{name} is deleted with its exposures and outcomes"
    platform.in_force = False
    return f"{name} is deleted; {service.stable} answers all requests of {service.name} again"


async def find(platform: Platform, name: str) -> ExperimentState | None:
    return next((state for state in await everyone(platform) if state.name == name), None)


async def get(platform: Platform, name: str) -> ExperimentState:
    """Raises NotFound that says which experiments there are."""
    states = await everyone(platform)
    known = ", ".join(state.name for state in states) or "none yet"
    found = next((state for state in states if state.name == name), None)
    if found is None:
        raise NotFound(f"there is no experiment {name!r}; known: {known}")
    return found


async def follow(platform: Platform) -> None:
    """One tick: note who met what, begin what is ready, end what has lasted long enough."""
    await take_note(platform)
    found = await _read_ahead(platform)
    async with platform.book.lock:
        for service in platform.book.services():
            if service.experiment is not None:
                await _go_on(platform, service, service.experiment, found)


async def _read_ahead(platform: Platform) -> dict[Case, Ledger]:
    """What each bandit whose turn it is has found. After a restart every outcome is read again, which may
    take long: it goes on beside the ticks, and nobody holds the book meanwhile. Raises Unavailable."""
    now, reading = platform.now(), platform.reading
    states = [service.experiment for service in platform.book.services() if service.experiment]
    for state in states:
        if _may_weigh(state, now) and _case(state) not in reading:
            ledgers = platform.ledgers.of(platform.book.records, state, now)
            reading[_case(state)] = asyncio.create_task(ledgers)
    if reading:
        await asyncio.wait(reading.values(), timeout=PATIENCE)
    done = {case: reading.pop(case) for case in tuple(reading) if reading[case].done()}
    return {case: task.result()[0] for case, task in done.items()}


def _case(state: ExperimentState) -> Case:
    """A name may be given again to another experiment."""
    return state.name, state.applied


def _may_weigh(state: ExperimentState, now: float) -> bool:
    bandit = state.spec.bandit
    return bandit is not None and state.weighed is not None and now - state.weighed >= bandit.every


async def _go_on(
    platform: Platform, service: Service, state: ExperimentState, found: Mapping[Case, Ledger]
) -> None:
    now = platform.now()
    if state.phase is ExperimentPhase.STARTING and _all_ready(platform, state):
        reason = "its arms answer"
        begun = replace(state, phase=ExperimentPhase.RUNNING, started=now, weighed=now, reason=reason)
        await platform.book.save_experiment(service, begun)
    elif state.started is None and now - state.applied > service.spec.spec.rollout.loading_timeout:
        await _end(platform, state, _why_not_ready(platform, state))
    elif state.started is not None and now - state.started >= state.spec.max_duration:
        await _end(platform, state, f"it has lasted {format_duration(state.spec.max_duration)}")
    elif (bandit := state.spec.bandit) and (ledger := found.get(_case(state))) and _may_weigh(state, now):
        await platform.book.save_experiment(service, _follow_outcomes(state, bandit, ledger, now))


def _follow_outcomes(state: ExperimentState, bandit: Bandit, ledger: Ledger, now: float) -> ExperimentState:
    """Weights by the outcomes so far, as far as the fewest participants change their arm."""
    outcomes = {name: (sums.total, sums.n) for name, sums in ledger.arms.items()}
    up = ledger.metric.direction is Direction.UP
    weights = thompson(outcomes, bandit.min_share, up=up, seed=f"{state.name}/{now}")
    return replace(state, layout=move(state.layout, weights), weighed=now)


def _why_not_ready(platform: Platform, state: ExperimentState) -> str:
    replicas = (r for r in platform.replicas if r.workload in state.revisions.values())
    said = next((f"; {r.workload}: {r.reason}" for r in replicas if r.reason), "")
    return f"the servers of its arms were not ready in time (rollout.loadingTimeout of {state.service}){said}"


def _all_ready(platform: Platform, state: ExperimentState) -> bool:
    ready = {r.workload for r in platform.replicas if r.phase is ReplicaPhase.READY}
    return platform.in_force and set(state.revisions.values()) <= ready


async def _end(platform: Platform, state: ExperimentState, reason: str) -> ExperimentState:
    over = replace(state, phase=ExperimentPhase.OVER, ended=platform.now(), reason=reason)
    await platform.book.save_experiment(platform.book.service(state.service), over)
    platform.in_force = False
    return over


def _require_quiet(service: Service) -> None:
    if service.experiment is not None:
        raise Conflict(
            f"{service.name} takes part in the experiment {service.experiment.name!r} already; one at a time"
        )
    if service.active is not None:
        raise Conflict(
            f"{service.name} has a rollout that is not over ({service.active.candidate} is "
            f"{service.active.phase}): wait for its end, or promote or abort it"
        )
    if service.stable is None:
        raise Conflict(f"{service.name} has no revision that answers yet")


def _begin(experiment: Experiment, revisions: Mapping[str, str], now: float) -> ExperimentState:
    return ExperimentState(
        name=experiment.name,
        service=experiment.spec.service,
        document=experiment.model_dump(mode="json", by_alias=True),
        revisions=revisions,
        phase=ExperimentPhase.STARTING,
        applied=now,
        layout=lay_out(experiment.spec.weights),
        began_with=experiment.spec.weights,
        reason="the servers of its arms start",
    )


async def _weigh_anew(
    platform: Platform, known: ExperimentState, experiment: Experiment
) -> tuple[ExperimentState, str]:
    document = experiment.model_dump(mode="json", by_alias=True)
    if not known.is_active:
        raise Conflict(
            f"{known.name} is over ({known.reason}), and its participants are known: choose another name"
        )
    if known.spec.bandit is not None:
        raise Conflict(f"{known.name} sets its weights by itself (bandit): stop it to change it")
    if document == known.document:
        return known, f"{known.name} is as this says already"
    if _without_weights(experiment) != _without_weights(Experiment.model_validate(known.document)):
        raise Conflict(f"{known.name} is {known.phase}: only its weights may change; stop it to change more")
    layout = move(known.layout, experiment.spec.weights)
    state = replace(known, document=document, layout=layout)
    await platform.book.save_experiment(platform.book.service(known.service), state)
    return state, f"{known.name} has other weights; only participants that must change their arm do"


def _without_weights(experiment: Experiment) -> Json:
    document: Json = experiment.model_dump(mode="json", exclude={"spec": {"arms": {"__all__": {"weight"}}}})
    return document


async def _revision(
    platform: Platform, service: Service, arm: Arm, models: Mapping[str, _Model]
) -> tuple[Service, str]:
    """The revision of an arm; one of the service's own, or a new one. Raises InvalidSpec."""
    stable = service.stable or ""
    if arm.model is None:
        name = stable if arm.revision == STABLE else str(arm.revision)
        if name not in service.revisions:
            known = ", ".join(service.revisions)
            raise InvalidSpec(f"spec.arms.{arm.name}.revision: got {name!r}: {service.name} has {known}")
        return service, name
    model, digest, folder = models[arm.name]
    made = service.spec_of(stable)
    made = made.model_copy(update={"spec": made.spec.model_copy(update={"model": model})})
    snapshot = made.model_dump(mode="json", by_alias=True)
    wanted = identity(digest, snapshot)
    for revision in service.revisions.values():
        if identity(revision.digest, revision.spec) == wanted:
            return service, revision.name
    revision = next_revision(service, digest, snapshot, folder, platform.now())
    return await platform.book.add_revision(service, revision), revision.name
