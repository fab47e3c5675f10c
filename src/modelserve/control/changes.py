"""What people change: apply a spec, delete a service, steer a rollout, roll back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelserve.control.allowing import require_allowed
from modelserve.control.artefacts import collect, deterministic, obtain, resolve
from modelserve.control.book import Service
from modelserve.control.noting import everyone, forget_found, forget_met, noting
from modelserve.control.platform import Platform
from modelserve.domain.rollouts import Command, Phase, Revision, Rollout
from modelserve.domain.services import ModelRef, ModelService
from modelserve.errors import Conflict, Unavailable
from modelserve.rollout import begin, command, roll_back, supersede

Change = tuple[Service, str]
"""A service after a change, and one sentence about what happened."""


async def apply(platform: Platform, spec: ModelService) -> Change:
    """Create or change a service; a changed model, server or scale starts a rollout.

    Raises InvalidSpec or InvalidPackage before anything is changed, Fetching while the model is on its way,
    Unavailable if it can't be had or written.
    """
    require_allowed(spec, platform.allowed)
    model = await resolve(platform, spec.spec.model)
    async with obtain(platform, model) as (digest, folder):
        change = await _change(platform, spec, model, digest, folder)
    if platform.artefacts_limit:
        await collect(platform, platform.artefacts_limit)
    return change


async def _change(
    platform: Platform, spec: ModelService, model: ModelRef, digest: str, folder: Path
) -> Change:
    """The service keeps the spec as it was given; its revision the version that an alias meant."""
    document = spec.model_dump(mode="json", by_alias=True)
    made = spec.model_copy(update={"spec": spec.spec.model_copy(update={"model": model})})
    steady = await deterministic(platform, folder, model)
    if platform.book.get(spec.name) is None:
        await platform.labels.forget(spec.name)  # of one that had this name; a new one must not count it
    async with platform.book.lock:
        service = platform.book.get(spec.name) or Service(spec.name, document)
        if known := _matching(service, digest, document):
            return await _keep(platform, service, document, known)
        require_no_experiment(service)
        service = replace(service, document=document)
        await platform.book.put(service)
        snapshot = made.model_dump(mode="json", by_alias=True)
        revision = next_revision(service, digest, snapshot, folder, platform.now())
        revision = replace(revision, deterministic=steady)
        service = await _make_way(platform, service, revision.name)
        service = await platform.book.add_revision(service, revision)
        return await _start(platform, service, revision.name)


async def delete(platform: Platform, name: str) -> None:
    """Forget a service, with experiments that are over. Raises NotFound, or Conflict while one runs."""
    async with platform.book.lock, noting(platform):
        service = platform.book.service(name)
        require_no_experiment(service)
        over = [state.name for state in await everyone(platform) if state.service == name]
        await platform.book.delete(service.name)
        forget_met(platform, over)
        platform.differences.forget(name)
    await forget_found(platform, over)
    with suppress(Unavailable):  # what is left then goes with what is too old
        await platform.labels.forget(name)


async def steer(platform: Platform, name: str, what: Command) -> Change:
    """Pause, resume, promote or abort. Raises NotFound or Conflict."""
    async with platform.book.lock:
        service = platform.book.service(name)
        rollout = _latest(service)
        after, transition = command(service.policy, rollout, what, platform.now())
        service = await platform.book.save(service, after, transition)
        platform.in_force = False  # until the next tick has switched: nothing is judged in between
        return service, f"{after.candidate} is {after.phase}: {after.reason}"


async def go_back(platform: Platform, name: str) -> Change:
    """Roll back: one route flip while the old revision is parked, else its servers start first.

    Raises NotFound, or Conflict when there is nothing to go back to.
    """
    async with platform.book.lock:
        service = platform.book.service(name)
        require_no_experiment(service)
        rollout = _latest(service)
        if not rollout.phase.done:
            after, transition = roll_back(service.policy, rollout, "rolled back by hand", platform.now())
            service = await platform.book.save(service, after, transition)
            platform.in_force = False
            answers = f"{after.stable} answers all requests again" if after.stable else after.reason
            return service, answers
        earlier = _earlier(service, await platform.book.rollouts(name))
        return await _start(platform, service, earlier, direct=True)


def require_no_experiment(service: Service) -> None:
    """Raise Conflict while people compare revisions: a change of what answers would spoil the comparison."""
    if service.experiment is not None:
        raise Conflict(
            f"{service.name} takes part in the experiment {service.experiment.name!r}: its revisions stay as "
            f"they are until it is over; end it with: modelserve experiment stop {service.experiment.name}"
        )


async def _keep(platform: Platform, service: Service, document: dict[str, Any], known: Revision) -> Change:
    """The revision that is asked for is there already: only the rules of later rollouts may change."""
    kept = replace(service, document=document)
    await platform.book.put(kept)
    active = kept.active
    if active is not None and active.candidate != known.name:
        after, transition = roll_back(kept.policy, active, f"{known.name} was applied again", platform.now())
        kept = await platform.book.save(kept, after, transition)
        return kept, f"{active.candidate} is rolled back; {known.name} stays"
    return kept, f"{known.name} has this model and these settings already: nothing to roll out"


async def _make_way(platform: Platform, service: Service, successor: str) -> Service:
    if service.active is None:
        return service
    after, transition = supersede(service.policy, service.active, successor, platform.now())
    return await platform.book.save(service, after, transition)


async def _start(platform: Platform, service: Service, candidate: str, *, direct: bool = False) -> Change:
    rollout = begin(
        id=uuid.uuid4().hex,
        service=service.name,
        stable=service.stable or "",
        candidate=candidate,
        now=platform.now(),
        direct=direct,
    )
    service = await platform.book.save(service, rollout)
    against = f" against {service.stable}" if service.stable else " as the first revision"
    return service, f"{candidate} is rolled out{against}"


def _earlier(service: Service, rollouts: Sequence[Rollout]) -> str:
    """The revision that answered before the present one. Raises Conflict if there was none."""
    for rollout in reversed(rollouts):
        if rollout.phase is Phase.STABLE and rollout.candidate == service.stable and rollout.stable:
            return rollout.stable
    raise Conflict(f"{service.name} has no earlier revision to go back to; {service.stable} answers")


def _matching(service: Service, digest: str, document: dict[str, Any]) -> Revision | None:
    """The revision in play that already is what is asked for: the candidate, else the stable one."""
    names = (service.active.candidate if service.active else None, service.stable)
    in_play = (service.revisions[name] for name in names if name)
    wanted = identity(digest, document)
    return next((r for r in in_play if identity(r.digest, r.spec) == wanted), None)


def identity(digest: str, document: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes one revision another: the artefact and how its servers run."""
    spec = document["spec"]
    model = spec["model"]
    return digest, model.get("runtime"), model.get("task"), spec["server"], spec["scaling"]


def next_revision(
    service: Service, digest: str, document: dict[str, Any], folder: Path, now: float
) -> Revision:
    """An immutable snapshot with the next free number."""
    number = max((r.number for r in service.revisions.values()), default=0) + 1
    return Revision(service.name, number, digest, document, str(folder), now)


def _latest(service: Service) -> Rollout:
    if service.rollout is None:
        raise Conflict(f"{service.name} has had no rollout yet")
    return service.rollout
