"""The controller's book: every service with its revisions and its latest rollout.

What stands here has been written to the records store first; so a store that can't be written leaves the
book, and with it everything that is served, as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelserve.domain.experiments import ExperimentState
from modelserve.domain.rollouts import Phase, Revision, Rollout, Transition
from modelserve.domain.services import ModelService, RolloutSpec
from modelserve.errors import NotFound
from modelserve.rollout import candidate_weight
from modelserve.routing.table import Traffic
from modelserve.stores.records.base import Records


@dataclass(frozen=True, slots=True)
class Service:
    """One page of the book."""

    name: str
    document: Mapping[str, Any]
    """The spec as it was applied last."""
    stable: str | None = None
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    rollout: Rollout | None = None
    """The latest, over or not."""
    experiment: ExperimentState | None = None
    """The one that is not over."""

    @property
    def spec(self) -> ModelService:
        return ModelService.model_validate(self.document)

    @property
    def active(self) -> Rollout | None:
        """The rollout that is not over."""
        return self.rollout if self.rollout and not self.rollout.phase.done else None

    @property
    def policy(self) -> RolloutSpec:
        """The rules of the latest rollout: those in force when its candidate was made."""
        if self.rollout is None:
            return self.spec.spec.rollout
        return self.spec_of(self.rollout.candidate).spec.rollout

    @property
    def rules(self) -> Mapping[str, Any]:
        """``policy`` as it was applied, without what a later version reads into it."""
        document = self.revisions[self.rollout.candidate].spec if self.rollout else self.document
        rules: Mapping[str, Any] = document["spec"].get("rollout", {})
        return rules

    @property
    def repeats(self) -> bool:
        """Whether stable answers shadow copies too: it may differ from itself, or its owner wants to know."""
        shadow = self.policy.shadow
        if shadow is None or self.active is None or self.active.stable not in self.revisions:
            return False
        if shadow.noise_floor is not None:
            return shadow.noise_floor
        return not self.revisions[self.active.stable].deterministic

    @property
    def parked(self) -> str | None:
        """The revision that a rollback would bring back without a start: the old one, during probation."""
        return self.active.stable or None if self.active else None

    def spec_of(self, revision: str) -> ModelService:
        return ModelService.model_validate(self.revisions[revision].spec)

    def traffic(self) -> Traffic:
        weight = candidate_weight(self.policy, self.rollout) if self.rollout else 0.0
        names = (self.active.candidate, self.active.stable) if self.active else (self.stable,)
        arms = self.experiment.revisions.values() if self.experiment else ()
        specs = [self.spec_of(name).spec for name in (*names, *arms) if name] or [self.spec.spec]
        timeout = max(spec.server.queue.timeout for spec in specs)
        return Traffic(
            self.name,
            specs[0],
            self.stable,
            self.rollout,
            weight,
            timeout,
            self.experiment,
            self.repeats,
        )


class Book:
    """Reads and writes are serialised by ``lock``, which a caller holds from reading to writing."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._services: dict[str, Service] = {}
        self.lock = asyncio.Lock()

    @property
    def records(self) -> Records:
        """The store itself, for what has no page in the book."""
        return self._records

    async def load(self) -> None:
        """Read everything. Raises Unavailable."""
        self._services = await asyncio.to_thread(self._read)

    def _read(self) -> dict[str, Service]:
        services = {}
        running = {one.service: one for one in self._records.experiments() if one.is_active}
        for name, (document, stable) in self._records.services().items():
            revisions = {revision.name: revision for revision in self._records.revisions(name)}
            rollouts = self._records.rollouts(name)
            latest = rollouts[-1] if rollouts else None
            services[name] = Service(name, document, stable, revisions, latest, running.get(name))
        return services

    def services(self) -> tuple[Service, ...]:
        return tuple(self._services[name] for name in sorted(self._services))

    def get(self, name: str) -> Service | None:
        return self._services.get(name)

    def service(self, name: str) -> Service:
        """Raises NotFound that says which services there are."""
        if name in self._services:
            return self._services[name]
        known = ", ".join(sorted(self._services)) or "none yet"
        raise NotFound(f"there is no service {name!r}; known: {known}")

    async def put(self, service: Service) -> None:
        """Write a service's spec and stable revision."""
        await asyncio.to_thread(
            self._records.put_service, service.name, dict(service.document), service.stable
        )
        self._services[service.name] = service

    async def add_revision(self, service: Service, revision: Revision) -> Service:
        await asyncio.to_thread(self._records.add_revision, revision)
        known = {**service.revisions, revision.name: revision}
        self._services[service.name] = replace(service, revisions=known)
        return self._services[service.name]

    async def save(
        self, service: Service, rollout: Rollout, transition: Transition | None = None, look: str = ""
    ) -> Service:
        """Write the rollout's state and what led to it; a finished promotion makes the candidate stable."""
        stable = _stable_after(service, rollout)
        changed = stable if stable != service.stable else None
        await asyncio.to_thread(self._records.save_rollout, rollout, transition, changed, look)
        self._services[service.name] = replace(service, rollout=rollout, stable=stable)
        return self._services[service.name]

    async def save_experiment(self, service: Service, experiment: ExperimentState) -> Service:
        """Write where an experiment stands; one that is over leaves the service's page."""
        await asyncio.to_thread(self._records.save_experiment, experiment)
        shown = experiment if experiment.is_active else None
        self._services[service.name] = replace(service, experiment=shown)
        return self._services[service.name]

    async def delete_experiment(self, service: Service, name: str) -> Service:
        """Forget an experiment of a service, running or over, with all that became known by it."""
        await asyncio.to_thread(self._records.delete_experiment, name)
        if service.experiment is not None and service.experiment.name == name:
            self._services[service.name] = replace(service, experiment=None)
        return self._services[service.name]

    async def delete(self, name: str) -> None:
        await asyncio.to_thread(self._records.delete_service, name)
        self._services.pop(name, None)

    async def rollouts(self, name: str) -> tuple[Rollout, ...]:
        return await asyncio.to_thread(self._records.rollouts, self.service(name).name)

    async def looks(self, rollout: str) -> dict[int, str]:
        return await asyncio.to_thread(self._records.looks, rollout)

    async def transitions(self, rollout: str) -> tuple[Transition, ...]:
        return await asyncio.to_thread(self._records.transitions, rollout)


def _stable_after(service: Service, rollout: Rollout) -> str | None:
    return rollout.candidate if rollout.phase is Phase.STABLE else service.stable
