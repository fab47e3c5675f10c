"""Routes: which request goes to which cluster, first match wins.

For every service, in this order: the revisions that a path or a header names, unknown revisions, who takes
part in an experiment, the sampled share (of which the shadow gets copies), everything else by weight. Then
unknown models, then the control API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import modelserve
from modelserve.domain.inference import EXTENSIONS
from modelserve.domain.routes import RouteTable, ServiceRoute
from modelserve.routing.envoy.discovery import Discovery
from modelserve.routing.envoy.experiments import keyed
from modelserve.routing.envoy.grpc import grpc_routes
from modelserve.routing.envoy.retries import BROKEN, BROKEN_OR_REFUSED, Conditions
from modelserve.routing.envoy.traffic import Way, by_weight, common, pinned_to, sampled
from modelserve.routing.envoy.vocabulary import CONTROL, REVISION_HEADER, TYPES, Json, error_body, set_header
from modelserve.routing.envoy.wires import HTTP

ROUTES = "models"
"""Name of the one route configuration."""


def routes_of(table: RouteTable) -> Discovery:
    """The one route configuration of the front door."""
    found = [route for service in table.services for route in _of_service(service)]
    found.append(_unknown_model())
    found += grpc_routes(table) if table.grpc else ()
    found += _control() if table.control else _no_control(table)
    configuration = {
        "@type": f"{TYPES}.config.route.v3.RouteConfiguration",
        "name": ROUTES,
        "response_headers_to_remove": ["x-envoy-upstream-service-time"],
        "virtual_hosts": [
            {"name": ROUTES, "domains": ["*"], "include_request_attempt_count": True, "routes": found}
        ],
    }
    return Discovery((configuration,))


def _of_service(service: ServiceRoute) -> Iterator[Json]:
    name = service.service
    for backend in service.backends:
        path = f"/v2/models/{name}/versions/{backend.revision}"
        yield pinned_to(_CALLS, service, backend.revision, {"path_separated_prefix": path})
    yield _unknown_revision(service, {"path_separated_prefix": f"/v2/models/{name}/versions"}, "%PATH(NQ)%")
    for backend in service.backends:
        match = {**_paths(name), "headers": [_header(exact=backend.revision)]}
        yield pinned_to(_CALLS, service, backend.revision, match)
    asked = f"%REQ({REVISION_HEADER})%"
    yield _unknown_revision(service, {**_paths(name), "headers": [_header()]}, asked)
    if service.split is not None:
        yield keyed(_CALLS, service, service.split)
    if service.mirror is not None:
        yield sampled(_CALLS, service, service.mirror)
    yield by_weight(_CALLS, service)


def _paths(name: str) -> Json:
    """Everything that a client may ask of a service; the regular expression matches the whole path."""
    model = re.escape(name)
    regex = rf"/v2/models/{model}(/.*)?|/v1/models/{model}(:predict)?|/predict/{model}"
    return {"safe_regex": {"regex": regex}}


_CALLS = Way(HTTP, _paths, Conditions(BROKEN, BROKEN_OR_REFUSED))


def _header(exact: str | None = None) -> Json:
    condition: Json = {"string_match": {"exact": exact}} if exact is not None else {"present_match": True}
    return {"name": REVISION_HEADER, **condition}


def _unknown_revision(service: ServiceRoute, match: Json, asked: str) -> Json:
    there = ", ".join(backend.revision for backend in service.backends)
    message = f"'{asked}' names no revision of service '{service.service}'; it has {there}"
    return {
        "name": f"{service.service}.unknown-revision",
        "match": match,
        "metadata": common(service)["metadata"],
        **_say(404, error_body(message, "unknown_revision", False)),
    }


def _unknown_model() -> Json:
    message = "no model service answers at '%PATH(NQ)%'"
    return {
        "name": "unknown-model",
        "match": {"safe_regex": {"regex": "/(v1/models|v2/models|predict)/.+"}},
        **_say(404, error_body(message, "unknown_model", False)),
    }


def _control() -> Iterator[Json]:
    yield {
        "name": CONTROL,
        "match": {"prefix": "/"},
        "route": {
            "cluster": CONTROL,
            "timeout": "0s",  # a page may follow a rollout for hours
            "idle_timeout": "60s",
            "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 2},
        },
    }


def _no_control(table: RouteTable) -> Iterator[Json]:
    server = {"name": "modelserve", "version": modelserve.__version__, "extensions": list(EXTENSIONS)}
    for path, body in (
        ("/v1/models", {"models": [service.service for service in table.services]}),
        ("/v2", server),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
    ):
        yield {"name": "server", "match": {"path": path}, **_say(200, {"json_format": body})}
    message = "nothing answers at '%PATH(NQ)%'"
    yield {
        "name": "not-found",
        "match": {"prefix": "/"},
        **_say(404, error_body(message, "not_found", False)),
    }


def _say(status: int, body: Json) -> Json:
    """An answer that the front door gives by itself."""
    return {
        "direct_response": {"status": status, "body_format": body},
        "response_headers_to_add": [set_header("content-type", "application/json")],
    }
