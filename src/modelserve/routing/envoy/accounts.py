"""What the front door keeps account of: a line for every request, and counters for every attempt.

Envoy's own counters can't tell which revision failed behind an aggregate cluster: connections are charged to
the cluster of the host, answers and retries to the aggregate. So each attempt is counted by the cluster that
its host belongs to::

    attempts.count.arm.<arm>.try.<number>.cluster.<cluster>.code.<status>.flags.<flags>.grpc.<status>.cache.<outcome>
    timeouts.count.arm.<arm>.try.<number>.cluster.<cluster>

``code`` is 0 and ``flags`` tell why where no answer came; both say nothing (``0`` and ``-``) of an attempt
that was given up, because the client went away or because the request's time was over. The latter are the
``timeouts``. ``grpc`` is the number of gRPC's status, whose ``code`` is 200 whatever happened. ``cache`` is
``hit`` where no model ran, and empty where the server has no cache.
"""

from __future__ import annotations

import json

from modelserve.routing.envoy.vocabulary import (
    ARM_HEADER,
    ATTEMPT_HEADER,
    CACHE_HEADER,
    EXPERIMENT_HEADER,
    REVISION_HEADER,
    SAMPLE_HEADER,
    TYPES,
    Json,
)

ATTEMPTS = "attempts"
TIMEOUTS = "timeouts"


def _answered(header: str) -> str:
    """What an answer says of itself: HTTP's in its headers, gRPC's in its trailers."""
    places = [{"command": command, "param": header} for command in ("RESP", "TRAILER")]
    return f"%COALESCE({json.dumps({'operators': places})})%"


_LINE = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "request_id": "%REQ(x-request-id)%",
    "service": "%METADATA(ROUTE:modelserve:service)%",
    "arm": f"%REQ({ARM_HEADER})%",
    "revision": _answered(REVISION_HEADER),
    "sampled": f"%REQ({SAMPLE_HEADER})%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "grpc": "%GRPC_STATUS%",
    "cache": _answered(CACHE_HEADER),
    "details": "%RESPONSE_CODE_DETAILS%",
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "host": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
}
_EXPOSURE = {
    "at": "%START_TIME(%s.%3f)%",
    "experiment": "%METADATA(ROUTE:modelserve:experiment)%",
    "weights": "%METADATA(ROUTE:modelserve:weights)%",
    "arm": f"%REQ({ARM_HEADER})%",
    "key": "%DYNAMIC_METADATA(modelserve.experiment:key)%",
    "request_id": "%REQ(x-request-id)%",
}
_WHOSE = {
    "arm": f"%REQ({ARM_HEADER})%",
    "try": f"%REQ({ATTEMPT_HEADER})%",
    "cluster": "%METADATA(UPSTREAM_HOST:modelserve:cluster)%",
}
_OUTCOME = {
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "grpc": "%GRPC_STATUS_NUMBER%",
    "cache": _answered(CACHE_HEADER),
}


def access_log(path: str) -> Json:
    """One JSON object a line: who answered what, how long it took; no query strings, no credentials."""
    kind = f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog"
    settings = {"@type": kind, "path": path, "log_format": {"json_format": _LINE}}
    return {"name": "envoy.access_loggers.file", "typed_config": settings}


def exposure_log(path: str) -> Json:
    """One JSON object a line for every request of an experiment's participant: who met which arm."""
    kind = f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog"
    settings = {"@type": kind, "path": path, "log_format": {"json_format": _EXPOSURE}}
    takes_part = {"header_filter": {"header": {"name": EXPERIMENT_HEADER, "present_match": True}}}
    return {"name": "envoy.access_loggers.file", "typed_config": settings, "filter": takes_part}


def attempts() -> Json:
    """For the router's upstream log, which sees every attempt."""
    return _counter(ATTEMPTS, _WHOSE | _OUTCOME)


def timeouts() -> Json:
    """For the access log: requests whose time was over while an attempt still waited."""
    kind = f"{TYPES}.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    expression = {"@type": kind, "expression": "response.code_details == 'response_timeout'"}
    extension = {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": expression}
    return {**_counter(TIMEOUTS, _WHOSE), "filter": {"extension_filter": extension}}


def _counter(prefix: str, tags: dict[str, str]) -> Json:
    labels = [{"name": name, "value_format": form} for name, form in tags.items()]
    settings = {
        "@type": f"{TYPES}.extensions.access_loggers.stats.v3.Config",
        "stats_scope": {"prefix": prefix},
        "counters": [{"stat": {"name": "count", "tags": labels}, "value_fixed": 1}],
    }
    return {"name": "envoy.access_loggers.stats", "typed_config": settings}


def stats_tags() -> Json:
    """Labels for Prometheus. Envoy's own rule would cut ``<revision>.live`` at the dot."""
    tags = {
        "envoy.cluster_name": r"^cluster\.(([a-z0-9-]+(?:\.(?:live|guarded|pinned|shadow)(?:-grpc)?)?)\.)",
        "envoy.response_code_class": r"_rq(_([1-5]xx))$",
        "envoy.response_code": r"_rq(_([1-5]\d\d))$",
        "envoy.http_conn_manager_prefix": r"^http\.((door|admin)\.)",
    }
    found = [{"tag_name": name, "regex": regex} for name, regex in tags.items()]
    return {"use_all_default_tags": False, "stats_tags": found}
