"""What every service needs of the front door, from its spec and the state of its rollout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelserve.domain.experiments import ExperimentPhase, ExperimentState
from modelserve.domain.rollouts import Phase, Rollout
from modelserve.domain.routes import (
    Backend,
    Endpoint,
    Mirror,
    RoutePolicy,
    RouteTable,
    ServiceRoute,
    Slots,
    Split,
    Weight,
)
from modelserve.domain.services import ServiceSpec
from modelserve.domain.workloads import Replica

TIMEOUT_MARGIN = 0.5
"""Seconds that the front door waits longer than the model server, so that the server's own answer wins."""
TRIES_IN_TIME = 2
"""Tries that fit into the route's timeout: what hangs on a frozen server gets a second chance elsewhere."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """One service as the route table sees it."""

    name: str
    spec: ServiceSpec
    stable: str | None
    """Name of the revision that answers outside of a rollout; None before the first is ready."""
    rollout: Rollout | None = None
    candidate_weight: float = 0.0
    """The candidate's share of live traffic, in 0..1."""
    timeout: float = 10.0
    """Seconds that the slowest of its revisions may take to answer."""
    experiment: ExperimentState | None = None
    """The one that is not over. There is no rollout meanwhile."""
    repeats: bool = False
    """Whether stable answers shadow copies too."""


def routes(
    services: Iterable[Traffic], replicas: Iterable[Replica], control: Endpoint | None, grpc: bool = False
) -> RouteTable:
    """The table for all services that have a revision to name, in the order of their names."""
    everyone = tuple(replicas)
    named = sorted((s for s in services if revisions(s)), key=lambda s: s.name)
    return RouteTable(tuple(_route(service, everyone) for service in named), control, grpc)


def revisions(service: Traffic) -> tuple[str, ...]:
    """What must run: the stable revision, and those of a rollout or an experiment that is not over."""
    rollout = service.rollout
    if service.experiment is not None and service.stable:
        return tuple(dict.fromkeys((service.stable, *service.experiment.revisions.values())))
    if rollout is None or rollout.phase.done:
        return (service.stable,) if service.stable else ()
    return tuple(name for name in (rollout.stable, rollout.candidate) if name)


def _route(service: Traffic, replicas: tuple[Replica, ...]) -> ServiceRoute:
    names = revisions(service)
    one_try = service.timeout + TIMEOUT_MARGIN
    return ServiceRoute(
        service=service.name,
        weights=_weights(service),
        backends=tuple(Backend(name, _endpoints(name, replicas)) for name in names),
        fallback=names[0],
        mirror=_mirror(service),
        policy=RoutePolicy(timeout=TRIES_IN_TIME * one_try, per_try_timeout=one_try),
        split=_split(service.experiment) if service.experiment else None,
        remember=any(guard.metric.of_labels for guard in service.spec.rollout.judge.guardrails),
    )


def _split(experiment: ExperimentState) -> Split | None:
    if experiment.phase is not ExperimentPhase.RUNNING:
        return None
    key = experiment.spec.key
    slots = tuple(Slots(arm, experiment.revisions[arm], size) for arm, size in experiment.layout)
    return Split(experiment.name, slots, key.header or "", key.cookie or "")


def _weights(service: Traffic) -> tuple[Weight, ...]:
    rollout = service.rollout
    if service.experiment is not None and service.experiment.phase is ExperimentPhase.RUNNING:
        return (Weight(service.experiment.control, 100.0),)
    if rollout is None or rollout.phase.done:
        return (Weight(revisions(service)[0], 100.0),)
    if not rollout.stable:
        return (Weight(rollout.candidate, 100.0),)
    percent = round(100 * service.candidate_weight, 2)
    shares = (Weight(rollout.stable, 100 - percent), Weight(rollout.candidate, percent, "candidate"))
    return tuple(share for share in shares if share.percent > 0)


def _mirror(service: Traffic) -> Mirror | None:
    rollout, shadow = service.rollout, service.spec.rollout.shadow
    if rollout is None or shadow is None or rollout.course is not Phase.SHADOW:
        return None
    percent = round(100 * shadow.share, 2)
    return Mirror(rollout.candidate, percent, service.repeats and bool(rollout.stable), shadow.keep_inputs)


def _endpoints(revision: str, replicas: tuple[Replica, ...]) -> tuple[Endpoint, ...]:
    mine = sorted((r for r in replicas if r.workload == revision and r.port), key=lambda r: r.index)
    return tuple(Endpoint(replica.host, replica.port, replica.grpc_port) for replica in mine)
