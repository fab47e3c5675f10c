"""Routes that take requests to model servers: by weight, with copies for a shadow, to a revision by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelserve.domain.routes import Mirror, ServiceRoute, Weight
from modelserve.routing.envoy.retries import Conditions, patience
from modelserve.routing.envoy.shares import hundredths, weighted
from modelserve.routing.envoy.vocabulary import (
    ARM_HEADER,
    PINNED_ARM,
    PRIORITY_HEADER,
    REMEMBER_HEADER,
    SAMPLE_HEADER,
    SHADOW_ARM,
    Json,
    guarded,
    live,
    pinned,
    set_header,
    shadow,
)
from modelserve.routing.envoy.wires import Wire

RETRY_BUFFER = 32 * 1024 * 1024
"""Bytes of a request body that are kept so that it can be sent again; the model server's own limit."""


@dataclass(frozen=True, slots=True)
class Way:
    """A kind of request: which they are, what is spoken, when another try makes sense."""

    wire: Wire
    match: Callable[[str], Json]
    """The requests for a service, by its name."""
    conditions: Conditions
    patience: Callable[..., Json] = patience

    def cluster(self, name: str) -> str:
        return name + self.wire.suffix

    def label(self, service: ServiceRoute, *what: str) -> str:
        """The name of a route."""
        return ".".join((service.service, *what)) + self.wire.suffix


def by_weight(way: Way, service: ServiceRoute) -> Json:
    return {
        "name": way.label(service),
        "match": way.match(service.service),
        **common(service),
        **({"request_headers_to_add": marks} if (marks := _marks(service)) else {}),
        "route": _action(way, service),
    }


def sampled(way: Way, service: ServiceRoute, mirror: Mirror) -> Json:
    """The share of the requests that are copied, and marked so that all servers keep their answers.

    A copy goes out as arm ``shadow``, with ``-shadow`` after the name in its ``Host``.
    """
    share = {"default_value": {"numerator": hundredths(mirror.percent), "denominator": "TEN_THOUSAND"}}
    sample = "inputs" if mirror.inputs else "1"
    return {
        "name": way.label(service, "sampled"),
        "match": {**way.match(service.service), "runtime_fraction": share},
        **common(service),
        "request_headers_to_add": [set_header(SAMPLE_HEADER, sample), *_marks(service)],
        "route": {**_action(way, service), "request_mirror_policies": _copies(way, service, mirror)},
    }


def _copies(way: Way, service: ServiceRoute, mirror: Mirror) -> list[Json]:
    """One to the shadow; where stable is compared with itself one to it too, behind all live requests."""
    copies = [_copy(way, mirror.revision)]
    if mirror.repeat:
        copies.append(_copy(way, service.fallback, set_header(PRIORITY_HEADER, "low")))
    return copies


def _copy(way: Way, revision: str, *headers: Json) -> Json:
    told = (set_header(ARM_HEADER, SHADOW_ARM), *headers)
    return {
        "cluster": way.cluster(shadow(revision)),
        "request_headers_mutations": [{"append": header} for header in told],
    }


def _marks(service: ServiceRoute) -> list[Json]:
    """Headers of every live request of a service."""
    return [set_header(REMEMBER_HEADER, "1")] if service.remember else []


def pinned_to(way: Way, service: ServiceRoute, revision: str, match: Json) -> Json:
    return {
        "name": way.label(service, PINNED_ARM),
        "match": match,
        **common(service),
        "request_headers_to_add": [set_header(ARM_HEADER, PINNED_ARM)],
        "route": {
            "cluster": way.cluster(pinned(revision)),
            **way.patience(service.policy, way.conditions.broken),
        },
    }


def common(service: ServiceRoute) -> Json:
    return {
        "metadata": {"filter_metadata": {"modelserve": {"service": service.service}}},
        "request_body_buffer_limit": RETRY_BUFFER,
    }


def _action(way: Way, service: ServiceRoute) -> Json:
    shares = weighted(service)
    guards = any(weight.revision != service.fallback for weight, _ in shares)
    replicas = sum(len(b.endpoints) for b in service.backends if b.revision == service.fallback)
    retry_on = way.conditions.refused if guards or replicas > 1 else way.conditions.broken
    return {
        "weighted_clusters": {"clusters": [_share(way, service, *share) for share in shares]},
        **way.patience(service.policy, retry_on, leave_revision=guards),
    }


def _share(way: Way, service: ServiceRoute, weight: Weight, share: int) -> Json:
    cluster = live if weight.revision == service.fallback else guarded
    return {
        "name": way.cluster(cluster(weight.revision)),
        "weight": share,
        "request_headers_to_add": [set_header(ARM_HEADER, weight.arm)],
    }
