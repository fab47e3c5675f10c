"""Names and small phrases of Envoy's configuration language, and of the headers that the front door sets."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TYPES = "type.googleapis.com/envoy"
ARM_HEADER = "x-modelserve-arm"
"""Which arm a request belongs to; set by the front door alone."""
SAMPLE_HEADER = "x-modelserve-sample"
"""``1`` on a request of which the shadow gets a copy, and on the copy: both servers keep their answers.
``inputs``: and what was asked. Set by the front door alone."""
PRIORITY_HEADER = "x-modelserve-priority"
"""Whose turn it is first, where requests wait."""
REMEMBER_HEADER = "x-modelserve-remember"
"""``1`` on a live request whose answer labels may ask for later; set by the front door alone."""
SERVICE_HEADER = "x-modelserve-service"
"""In the metadata of a gRPC call: the model service that is asked."""
REVISION_HEADER = "x-modelserve-revision"
"""In a request: the revision that must answer. In a response: the one that did."""
EXPERIMENT_HEADER = "x-modelserve-experiment"
"""The experiment that a request takes part in; set by the front door alone, on requests and responses."""
CACHE_HEADER = "x-modelserve-cache"
"""In a request: what the client wants of a cache of answers. In a response: how the answer came about."""
ATTEMPT_HEADER = "x-envoy-attempt-count"
"""Which attempt at a request this is, from 1; set by Envoy, never believed from a client."""
PINNED_ARM = "pinned"
SHADOW_ARM = "shadow"
CONTROL = "control"
"""Name of the control API's cluster."""


def live(revision: str) -> str:
    """Cluster of the requests that count as evidence about ``revision``."""
    return f"{revision}.live"


def guarded(revision: str) -> str:
    """Cluster that prefers ``revision`` and falls back to the stable one."""
    return f"{revision}.guarded"


def pinned(revision: str) -> str:
    """Cluster of the requests that asked for ``revision`` by name."""
    return f"{revision}.pinned"


def shadow(revision: str) -> str:
    """Cluster of the copies whose answers are thrown away."""
    return f"{revision}.shadow"


def seconds(value: float) -> str:
    """A duration as Envoy writes it: 0.25 -> ``"0.25s"``; whole nanoseconds."""
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


def set_header(name: str, value: str) -> Json:
    """Set a header, whatever it was before."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def error_body(message: str, code: str, retryable: bool) -> Json:
    """The one shape of an error, as a substitution format that Envoy fills in and escapes."""
    return {"json_format": {"error": message, "code": code, "retryable": retryable}}
