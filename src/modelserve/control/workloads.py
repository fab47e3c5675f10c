"""What must run for each service: pure, from the book's pages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from modelserve.control.book import Service
from modelserve.domain.models import Allowed
from modelserve.domain.services import IsolationMode, Server, WarmUp
from modelserve.domain.workloads import Workload
from modelserve.routing.table import revisions

LEAST_DRAIN = 25.0
"""Seconds that a stopping server gives what is in flight; longer where one answer may take longer."""


def workloads(
    services: Iterable[Service],
    allowed: Allowed,
    cache_url: str,
    grpc: bool = False,
    machine_cache: Path | None = None,
) -> dict[str, Workload]:
    """Every revision that takes or may take traffic, by name; ``cache_url`` is where answers are kept, and
    ``machine_cache`` where servers remember how models run on this machine."""
    return {
        name: workload(service, name, allowed, cache_url, grpc, machine_cache)
        for service in services
        for name in revisions(service.traffic())
    }


def workload(
    service: Service,
    revision: str,
    allowed: Allowed,
    cache_url: str,
    grpc: bool = False,
    machine_cache: Path | None = None,
) -> Workload:
    """The replicas of one revision, with the settings that were in force when it was made."""
    spec = service.spec_of(revision).spec
    server = spec.server
    return Workload(
        service=service.name,
        revision=revision,
        replicas=spec.scaling.min,
        config={
            "service": service.name,
            "revision": revision,
            "package": service.revisions[revision].package,
            "task": spec.model.task,
            "runtime": spec.model.runtime,
            "max_batch": server.batching.max_size,
            "max_delay": server.batching.max_delay,
            "max_waiting": server.queue.max_waiting,
            "timeout": server.queue.timeout,
            "drain": max(LEAST_DRAIN, server.queue.timeout + 1),
            "threads": server.threads or 0,
            "cores_per_run": server.cores_per_run or 0,
            "machine_cache": None if machine_cache is None else str(machine_cache),
            "device": server.device,
            "isolated": server.isolation.mode is IsolationMode.PROCESS,
            "engine_processes": server.isolation.processes,
            "engine_limit": server.isolation.max_run,
            "engine_memory": server.isolation.max_memory,
            "allow_code": allowed.code,
            "allow_external": list(allowed.hosts),
            **_runs(server),
            **_caches(server, cache_url),
            **({"http_workers": server.http_workers} if server.http_workers else {}),
            "allow_pickle": allowed.pickle,
            **({"grpc_port": 0} if grpc else {}),
        },
    )


def _runs(server: Server) -> dict[str, object]:
    """Nothing for a service that leaves it to the model: what it is not told can't restart it."""
    told: dict[str, object] = {}
    if (batching := server.batching.mode.setting) is not None:
        told["batching"] = batching
    if server.warm_up is WarmUp.SKIP:
        told["warm_up"] = False
    return told


def _caches(server: Server, cache_url: str) -> dict[str, object]:
    """Nothing for a service without caches: what it is not told can't restart it."""
    told: dict[str, object] = {}
    if (cache := server.cache) is not None:
        told |= {"cache_ttl": cache.ttl, "cache_bytes": cache.max_bytes, "cache_url": cache_url}
    if (features := server.feature_cache) is not None:
        told["feature_bytes"] = features.max_bytes
    return told
