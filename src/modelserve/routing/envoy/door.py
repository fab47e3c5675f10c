"""The bootstrap: the listener that clients talk to, the administration socket, and where the tables lie.

It stays the same for the life of the process; what changes comes from the two discovery files.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass

from modelserve.errors import InvalidInput
from modelserve.routing.envoy.accounts import access_log, attempts, exposure_log, stats_tags, timeouts
from modelserve.routing.envoy.experiments import no_key_to_remember
from modelserve.routing.envoy.replies import local_replies
from modelserve.routing.envoy.routes import ROUTES
from modelserve.routing.envoy.vocabulary import (
    ARM_HEADER,
    EXPERIMENT_HEADER,
    REMEMBER_HEADER,
    SAMPLE_HEADER,
    TYPES,
    Json,
    address,
)

MAX_CONNECTIONS = 20_000
"""Client connections at the same time; one more is closed at once."""
MAX_HEAP = 2 * 1024**3
"""Bytes of memory at which the front door begins to refuse requests rather than die."""
NAMELESS = "localhost"
"""The Host of a request of HTTP/1.0 that names none. Only a browser could be made to call by a foreign name,
and a browser always sends one."""
CLUSTERS_FILE = "clusters.json"
ROUTES_FILE = "routes.json"


@dataclass(frozen=True, slots=True)
class Door:
    """Where the front door listens and keeps its files. All paths absolute."""

    host: str
    port: int
    admin_socket: str
    """Unix socket of Envoy's administration interface; only its owner may open it."""
    tables: str
    """Folder of ``clusters.json`` and ``routes.json``, watched for renames into it."""
    access_log: str
    exposure_log: str
    """What participants of experiments met; holds their keys until the file is set aside twice."""


_REGEX_LIMITS = {"re2.max_program_size.error_level": 2000, "re2.max_program_size.warn_level": 2000}
"""Envoy's default of 100 is too little for the routes of a service with a long name."""


def bootstrap(door: Door) -> str:
    """The file that Envoy is started with, as JSON. Raises InvalidInput unless ``host`` is an IP address."""
    _check_host(door.host)
    configuration = {
        "node": {"id": "front-door", "cluster": "modelserve"},
        "admin": {"address": {"pipe": {"path": door.admin_socket, "mode": 0o600}}},
        "dynamic_resources": {"cds_config": _watched(door, CLUSTERS_FILE)},
        "static_resources": {"listeners": [_listener(door)]},
        "stats_flush_interval": "0.25s",
        "stats_config": stats_tags(),
        "overload_manager": _overload(),
        "layered_runtime": {"layers": [{"name": "limits", "static_layer": _REGEX_LIMITS}]},
    }
    return json.dumps(configuration, indent=1) + "\n"


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise InvalidInput(
            f"host must be an IP address, such as 127.0.0.1 or 0.0.0.0, not {host!r}"
        ) from None


def _watched(door: Door, name: str) -> Json:
    source = {"path": f"{door.tables}/{name}", "watched_directory": {"path": door.tables}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _overload() -> Json:
    kinds = f"{TYPES}.extensions.resource_monitors"
    connections = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": f"{kinds}.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": MAX_CONNECTIONS,
        },
    }
    heap = {
        "name": "envoy.resource_monitors.fixed_heap",
        "typed_config": {
            "@type": f"{kinds}.fixed_heap.v3.FixedHeapConfig",
            "max_heap_size_bytes": MAX_HEAP,
        },
    }
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [connections, heap],
        "actions": [
            _at("envoy.overload_actions.shrink_heap", 0.9),
            _at("envoy.overload_actions.stop_accepting_requests", 0.95),
        ],
    }


def _at(action: str, pressure: float) -> Json:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": pressure}}
    return {"name": action, "triggers": [trigger]}


def _listener(door: Door) -> Json:
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": _manager(door)}
    return {
        "name": "door",
        "address": address(door.host, door.port),
        "enable_reuse_port": False,  # two front doors must never share a port unnoticed
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "filter_chains": [{"filters": [manager]}],
    }


def _manager(door: Door) -> Json:
    """How HTTP is spoken with clients: 1.0, 1.1 and 2 in the clear, nothing believed that they send."""
    return {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "door",
        "codec_type": "AUTO",
        # nginx's proxy_pass and ab speak HTTP/1.0 unless told otherwise; Envoy by default answers 426.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": NAMELESS},
        "rds": {"route_config_name": ROUTES, "config_source": _watched(door, ROUTES_FILE)},
        "http_filters": [no_key_to_remember(), _router()],
        "access_log": [access_log(door.access_log), exposure_log(door.exposure_log), timeouts()],
        "local_reply_config": local_replies(),
        "early_header_mutation_extensions": [_forget_internal_headers()],
        "server_name": "modelserve",
        **_identity_of_requests(),
        **_paths(),
        **_limits(),
    }


def _router() -> Json:
    kind = f"{TYPES}.extensions.filters.http.router.v3.Router"
    settings = {"@type": kind, "upstream_log": [attempts()]}
    return {"name": "envoy.filters.http.router", "typed_config": settings}


def _forget_internal_headers() -> Json:
    kind = f"{TYPES}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    removed = [{"remove": name} for name in (ARM_HEADER, EXPERIMENT_HEADER, SAMPLE_HEADER, REMEMBER_HEADER)]
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": kind, "mutations": removed},
    }


def _identity_of_requests() -> Json:
    """Keep a client's request id, make one where there is none, return it always; strip ``x-envoy-*``."""
    kind = f"{TYPES}.extensions.request_id.uuid.v3.UuidRequestIdConfig"
    return {
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {"typed_config": {"@type": kind, "pack_trace_reason": False}},
        "use_remote_address": True,
        # No client is trusted for where it comes from; an empty list would mean all private addresses.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
    }


def _paths() -> Json:
    return {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
    }


def _limits() -> Json:
    return {
        "max_request_headers_kb": 32,
        "common_http_protocol_options": {"idle_timeout": "600s", "max_headers_count": 100},
        "http2_protocol_options": {
            "max_concurrent_streams": 256,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        "request_headers_timeout": "10s",
        "request_timeout": "120s",
        "stream_idle_timeout": "300s",
        "delayed_close_timeout": "1s",
    }
