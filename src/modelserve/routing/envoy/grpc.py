"""Routes of gRPC. The name of a model stands in the message, where no proxy looks: metadata name the service.

For every service, in this order: the revisions that metadata name, unknown revisions, who takes part in an
experiment, streams, the sampled share, everything else by weight. Then what names no service.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from modelserve.domain.routes import RouteTable, ServiceRoute
from modelserve.routing.envoy.experiments import keyed
from modelserve.routing.envoy.retries import BROKEN, Conditions, lasting
from modelserve.routing.envoy.traffic import Way, by_weight, common, pinned_to, sampled
from modelserve.routing.envoy.vocabulary import REVISION_HEADER, SERVICE_HEADER, Json, set_header
from modelserve.routing.envoy.wires import GRPC

SERVICE = "inference.GRPCInferenceService"
NOT_FOUND = "5"
"""gRPC's number for it."""

_ANY = {"prefix": f"/{SERVICE}/"}
_INFER = {"path": f"/{SERVICE}/ModelInfer"}
_STREAM = {"path": f"/{SERVICE}/ModelStreamInfer"}


def grpc_routes(table: RouteTable) -> Iterator[Json]:
    for service in table.services:
        yield from _of_service(service)
    there = ", ".join(service.service for service in table.services) or "none"
    yield {
        "name": "unknown-model-grpc",
        "match": _with(_ANY),
        **_say(f"metadata {SERVICE_HEADER} must name the service; there is {there}", "unknown_model"),
    }


def _of_service(service: ServiceRoute) -> Iterator[Json]:
    name = service.service
    for backend in service.backends:
        revision = backend.revision
        yield pinned_to(_STREAMS, service, revision, _of(_STREAM, name, exact=revision))
        yield pinned_to(_CALLS, service, revision, _of(_ANY, name, exact=revision))
    yield _unknown_revision(service)
    if service.split is not None:
        yield keyed(_STREAMS, service, service.split)
        yield keyed(_CALLS, service, service.split)
    yield by_weight(_STREAMS, service)
    if service.mirror is not None:
        yield sampled(_INFERENCE, service, service.mirror)
    yield by_weight(_CALLS, service)


def _unknown_revision(service: ServiceRoute) -> Json:
    there = ", ".join(backend.revision for backend in service.backends)
    asked = f"%REQ({REVISION_HEADER})%"
    message = f"'{asked}' names no revision of service '{service.service}'; it has {there}"
    return {
        "name": f"{service.service}.unknown-revision-grpc",
        "match": _of(_ANY, service.service, present=True),
        "metadata": common(service)["metadata"],
        **_say(message, "unknown_revision"),
    }


def _of(path: Json, service: str, *, exact: str = "", present: bool = False) -> Json:
    """Calls for a service; with a revision, or any, in their metadata."""
    headers: list[Json] = [{"name": SERVICE_HEADER, "string_match": {"exact": service}}]
    if exact:
        headers.append({"name": REVISION_HEADER, "string_match": {"exact": exact}})
    if present:
        headers.append({"name": REVISION_HEADER, "present_match": True})
    return _with(path, headers=headers)


def _with(path: Json, **conditions: list[Json]) -> Json:
    return {**path, "grpc": {}, **conditions}


def _say(message: str, code: str) -> Json:
    """An answer that the front door gives by itself, as a status."""
    told = {"grpc-status": NOT_FOUND, "x-modelserve-code": code, "x-modelserve-retryable": "false"}
    return {
        "direct_response": {"status": 404, "body_format": {"text_format_source": {"inline_string": message}}},
        "response_headers_to_add": [set_header(name, value) for name, value in told.items()],
    }


_BROKEN = f"{BROKEN},cancelled"
"""A server that stops cancels what reaches it too late."""
_RETRIES = Conditions(_BROKEN, f"{_BROKEN},unavailable,resource-exhausted,deadline-exceeded")
_UNTOUCHED = "connect-failure,refused-stream"
_CALLS = Way(GRPC, partial(_of, _ANY), _RETRIES)
_INFERENCE = Way(GRPC, partial(_of, _INFER), _RETRIES)
_STREAMS = Way(GRPC, partial(_of, _STREAM), Conditions(_UNTOUCHED, _UNTOUCHED), lasting)
