"""Routes of an experiment: the front door hashes a request's key and picks the arm, nobody else is asked.

Envoy hashes the key with the experiment's name before it (xxHash64) and takes the rest of a division by the
sum of the weights, 10,000: a slot. The weighted clusters are the runs of slots in their order, so one arm may
stand there several times. What carries no key that can be used goes on to the route by weight.
"""

from __future__ import annotations

from modelserve.domain.routes import ServiceRoute, Slots, Split
from modelserve.routing.envoy.traffic import Way, common
from modelserve.routing.envoy.vocabulary import (
    ARM_HEADER,
    EXPERIMENT_HEADER,
    TYPES,
    Json,
    guarded,
    live,
    set_header,
)

METADATA = "modelserve.experiment"
"""Namespace of what the front door knows of a request: its key."""
FILTER = "envoy.filters.http.header_to_metadata"
_KIND = f"{TYPES}.extensions.filters.http.header_to_metadata.v3.Config"
_KEY = r"[!-+\-.-:<-~]{1,128}"
"""Visible ASCII without comma and semicolon, which divide values of a header and cookies."""


def keyed(way: Way, service: ServiceRoute, split: Split) -> Json:
    """The requests that carry a key, by the slot of the key."""
    match = way.match(service.service)
    carries = {"name": _source(split), "string_match": {"safe_regex": {"regex": _pattern(split)}}}
    metadata = {**common(service)["metadata"]["filter_metadata"]["modelserve"], **_facts(split)}
    return {
        "name": way.label(service, "experiment"),
        "match": {**match, "headers": [*match.get("headers", ()), carries]},
        **common(service),
        "metadata": {"filter_metadata": {"modelserve": metadata}},
        "typed_per_filter_config": {FILTER: _remember_key(split)},
        "request_headers_to_add": [set_header(EXPERIMENT_HEADER, split.experiment)],
        "response_headers_to_add": [set_header(EXPERIMENT_HEADER, split.experiment)],
        "route": _action(way, service, split),
    }


def no_key_to_remember() -> Json:
    """The filter itself, which does nothing on routes that do not tell it to."""
    return {"name": FILTER, "typed_config": {"@type": _KIND}}


def _source(split: Split) -> str:
    return split.header or "cookie"


def _pattern(split: Split) -> str:
    """Matches the whole header; its first group is the key."""
    return rf"^({_KEY})$" if split.header else rf"^(?:.*; ?)?{split.cookie}=({_KEY})(?:;.*)?$"


def _facts(split: Split) -> Json:
    sizes: dict[str, int] = {}
    for run in split.slots:
        sizes[run.arm] = sizes.get(run.arm, 0) + run.size
    weights = ",".join(f"{arm}={size}" for arm, size in sorted(sizes.items()))
    return {"experiment": split.experiment, "weights": weights}


def _remember_key(split: Split) -> Json:
    rule = {
        "header": _source(split),
        "on_header_present": {
            "metadata_namespace": METADATA,
            "key": "key",
            "regex_value_rewrite": {"pattern": {"regex": _pattern(split)}, "substitution": "\\1"},
        },
    }
    return {"@type": _KIND, "request_rules": [rule]}


def _action(way: Way, service: ServiceRoute, split: Split) -> Json:
    salted = {"pattern": {"regex": _pattern(split)}, "substitution": f"{split.experiment}/\\1"}
    clusters = [_share(way, service, run) for run in split.slots if run.size]
    guards = any(run.revision != service.fallback for run in split.slots)
    return {
        "hash_policy": [{"header": {"header_name": _source(split), "regex_rewrite": salted}}],
        "weighted_clusters": {"clusters": clusters, "use_hash_policy": True},
        **way.patience(service.policy, way.conditions.refused, leave_revision=guards),
    }


def _share(way: Way, service: ServiceRoute, run: Slots) -> Json:
    cluster = live if run.revision == service.fallback else guarded
    return {
        "name": way.cluster(cluster(run.revision)),
        "weight": run.size,
        "request_headers_to_add": [set_header(ARM_HEADER, run.arm)],
        "response_headers_to_add": [set_header(ARM_HEADER, run.arm)],
    }
