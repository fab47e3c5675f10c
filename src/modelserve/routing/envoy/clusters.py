"""Clusters: how the front door reaches the replicas of each revision.

``live``
    Evidence. Health-checked; nothing but weighted traffic enters its counters.
``guarded``
    For every revision but the fallback: an aggregate that prefers the revision's ``live`` hosts and goes to
    the fallback's when none of them is healthy. A retry leaves the revision that failed.
``pinned``
    Requests that name the revision. The same endpoints under counters of their own.
``shadow``
    Copies. So few at a time that a slow shadow can't pile up.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelserve.domain.routes import Backend, Endpoint, RouteTable, ServiceRoute
from modelserve.routing.envoy.discovery import Discovery
from modelserve.routing.envoy.vocabulary import (
    CONTROL,
    TYPES,
    Json,
    address,
    guarded,
    live,
    pinned,
    seconds,
    shadow,
)
from modelserve.routing.envoy.wires import GRPC, HTTP, Wire

CHECK_EVERY = 0.25
"""Seconds between two health checks of a replica."""
CHECK_TIMEOUT = 1.0
"""Seconds after which a check has failed; long enough for a server that is busy rather than stuck."""
MAX_RETRIES = 1000
"""Retries at the same time, per revision. Envoy's default of 3 loses requests whenever a replica crashes."""
MAX_REQUESTS = 4096
"""Requests at the same time, per revision; the model server's own queue refuses long before."""
MAX_COPIES = 32
"""Copies at the same time, and as many again that wait for their turn; what exceeds both is not copied."""


def clusters_of(table: RouteTable) -> Discovery:
    """Every cluster of the table, the control API's first."""
    found = [_control(table.control)] if table.control else []
    for wire in (HTTP, GRPC) if table.grpc else (HTTP,):
        for route in table.services:
            found += _of_service(route, wire)
    return Discovery(tuple(found))


def _of_service(route: ServiceRoute, wire: Wire) -> Iterator[Json]:
    for backend in route.backends:
        yield _live(backend, wire, last_resort=backend.revision == route.fallback)
        yield _pinned(backend, wire)
        if backend.revision != route.fallback:
            yield _guarded(backend.revision, route.fallback, wire)
        if backend.revision in _copied(route):
            yield _shadow(backend, wire)


def _copied(route: ServiceRoute) -> tuple[str, ...]:
    """The revisions that get copies."""
    if route.mirror is None:
        return ()
    return (route.mirror.revision, route.fallback) if route.mirror.repeat else (route.mirror.revision,)


def _live(backend: Backend, wire: Wire, *, last_resort: bool) -> Json:
    """Where nobody else could answer, servers that fail their checks are asked all the same.

    A check may also fail because the machine is busy, and a refusal to all clients is the worst answer then.
    """
    return {
        **_static(live(backend.revision), backend.endpoints, wire, ask_unhealthy=last_resort),
        "health_checks": [_health_check(wire)],
        "close_connections_on_host_health_failure": True,  # frees what waits for a server that froze
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": _limits(MAX_REQUESTS, MAX_RETRIES),
    }


def _pinned(backend: Backend, wire: Wire) -> Json:
    return {
        **_static(pinned(backend.revision), backend.endpoints, wire),
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": _limits(MAX_REQUESTS, MAX_RETRIES),
    }


def _shadow(backend: Backend, wire: Wire) -> Json:
    return {
        **_static(shadow(backend.revision), backend.endpoints, wire),
        "health_checks": [_health_check(wire)],
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": _limits(MAX_COPIES, 0),
    }


def _guarded(revision: str, fallback: str, wire: Wire) -> Json:
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": guarded(revision) + wire.suffix,
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{TYPES}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": [live(name) + wire.suffix for name in (revision, fallback)],
            },
        },
        "circuit_breakers": _limits(MAX_REQUESTS, MAX_RETRIES),
        "typed_extension_protocol_options": wire.options,
    }


def _control(endpoint: Endpoint) -> Json:
    return {**_static(CONTROL, (endpoint,), HTTP), "circuit_breakers": _limits(MAX_REQUESTS, MAX_RETRIES)}


def _static(name: str, endpoints: tuple[Endpoint, ...], wire: Wire, *, ask_unhealthy: bool = False) -> Json:
    """``ask_unhealthy``: when no host is healthy (fewer than 1 %), all are asked; else none is."""
    hosts = [_endpoint(name, endpoint.host, port) for endpoint in endpoints if (port := wire.port(endpoint))]
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": name + wire.suffix,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": name + wire.suffix,
            "endpoints": [{"lb_endpoints": hosts}],
            # One healthy replica of many is enough to keep an aggregate from spilling over to the fallback.
            "policy": {"overprovisioning_factor": 100_000},
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 1 if ask_unhealthy else 0}},
        "typed_extension_protocol_options": wire.options,
    }


def _endpoint(cluster: str, host: str, port: int) -> Json:
    """A host that knows its cluster: behind an aggregate, the attempts' counters could not tell it else."""
    return {
        "endpoint": {"address": address(host, port)},
        "metadata": {"filter_metadata": {"modelserve": {"cluster": cluster}}},
    }


def _health_check(wire: Wire) -> Json:
    """Out after two failures (one that is answered 503 suffices), in again after three successes."""
    return {
        "timeout": seconds(CHECK_TIMEOUT),
        "interval": seconds(CHECK_EVERY),
        "no_traffic_interval": seconds(CHECK_EVERY),
        "no_traffic_healthy_interval": seconds(CHECK_EVERY),
        "unhealthy_threshold": 2,
        "healthy_threshold": 3,
        **wire.check,
    }


def _outlier_detection() -> Json:
    """Connections that fail eject a host before its next health check does; an answer, even 500, never does.

    A poisonous input that fails again and again must not take the only replica away from everybody else.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": seconds(CHECK_EVERY),
        "base_ejection_time": "1s",
        "max_ejection_time": "5s",
        "max_ejection_percent": 100,
    }


def _limits(requests: int, retries: int) -> Json:
    threshold = {
        "max_connections": requests,
        "max_pending_requests": requests,
        "max_requests": requests,
        "max_retries": retries,
    }
    return {"thresholds": [threshold]}
