"""An error as a gRPC client sees it: a status, and in the trailing metadata what REST says in its body."""

from __future__ import annotations

import math

import grpc

from modelserve.errors import ModelServeError
from modelserve.serving.grpc.rpc import Metadata

LONGEST = 1000
"""Characters of a message; the status travels in a header."""

_CODES = {
    "invalid_input": grpc.StatusCode.INVALID_ARGUMENT,
    "payload_too_large": grpc.StatusCode.INVALID_ARGUMENT,
    "unsupported_media": grpc.StatusCode.INVALID_ARGUMENT,
    "invalid_spec": grpc.StatusCode.INVALID_ARGUMENT,
    "invalid_package": grpc.StatusCode.INVALID_ARGUMENT,
    "unknown_model": grpc.StatusCode.NOT_FOUND,
    "unknown_revision": grpc.StatusCode.NOT_FOUND,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "conflict": grpc.StatusCode.FAILED_PRECONDITION,
    "overloaded": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "not_ready": grpc.StatusCode.UNAVAILABLE,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "engine_died": grpc.StatusCode.UNAVAILABLE,
    "fetching": grpc.StatusCode.UNAVAILABLE,
    "deadline_exceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
}


def status(error: ModelServeError) -> grpc.StatusCode:
    """INTERNAL for what has no better one: a model that failed, a defect."""
    return _CODES.get(error.code, grpc.StatusCode.INTERNAL)


def details(error: ModelServeError) -> str:
    message = error.message
    return message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"


def trailers(error: ModelServeError) -> Metadata:
    """The stable code, whether to try again, and when, as gRPC's own retries read it (proposal A6)."""
    told = (
        ("x-modelserve-code", error.code),
        ("x-modelserve-retryable", "true" if error.retryable else "false"),
    )
    if error.retry_after is None:
        return told
    return (*told, ("grpc-retry-pushback-ms", str(max(1, math.ceil(error.retry_after * 1000)))))
