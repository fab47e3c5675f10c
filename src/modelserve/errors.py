"""Every way in which ModelServe says no.

The tree, with the stable code, HTTP status, whose fault, and whether trying again can help::

    ModelServeError
    ├── ClientFault                          the caller must change something
    │   ├── InvalidInput       invalid_input        400
    │   ├── UnknownModel       unknown_model        404
    │   ├── UnknownRevision    unknown_revision     404
    │   ├── PayloadTooLarge    payload_too_large    413
    │   ├── UnsupportedMedia   unsupported_media    415
    │   ├── InvalidSpec        invalid_spec         422
    │   ├── InvalidPackage     invalid_package      422
    │   ├── NotFound           not_found            404
    │   └── Conflict           conflict             409
    └── ServerFault                          the operator must look
        ├── Overloaded         overloaded           503   retry
        ├── NotReady           not_ready            503   retry
        ├── Fetching           fetching             503   retry   a model is on its way to this machine
        ├── DeadlineExceeded   deadline_exceeded    504   retry
        ├── ModelFailed        model_failed         500
        ├── EngineDied         engine_died          503   retry   the process that ran the batch is gone
        └── Unavailable        unavailable          503   retry   a store, proxy or process is out of reach

An edge turns an error into its protocol's shape; nothing between the place that raises and the edge
catches a :class:`ModelServeError` to hide it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["client", "server"]


class ModelServeError(Exception):
    """Base of all errors that ModelServe raises on purpose."""

    code: str = "internal"
    status: int = 500
    fault: ClassVar[Fault] = "server"
    retryable: bool = False
    request_id: str | None = None
    """Of the call that failed, where a client tells what a server said: it finds the line in the log."""
    revision: str | None = None
    """Who said it, likewise."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after  # seconds until trying again is likely to help


class ClientFault(ModelServeError):
    code, status, fault = "client_fault", 400, "client"


class InvalidInput(ClientFault):
    code, status = "invalid_input", 400


class UnknownModel(ClientFault):
    code, status = "unknown_model", 404


class UnknownRevision(ClientFault):
    code, status = "unknown_revision", 404


class PayloadTooLarge(ClientFault):
    code, status = "payload_too_large", 413


class UnsupportedMedia(ClientFault):
    code, status = "unsupported_media", 415
    accepts: str = ""
    """Which content encodings are taken, where one that is not was sent (RFC 9110, 15.5.16)."""


class InvalidSpec(ClientFault):
    code, status = "invalid_spec", 422


class InvalidPackage(ClientFault):
    code, status = "invalid_package", 422


class NotFound(ClientFault):
    code, status = "not_found", 404


class Conflict(ClientFault):
    code, status = "conflict", 409


class ServerFault(ModelServeError):
    code, status, fault = "server_fault", 500, "server"


class Overloaded(ServerFault):
    code, status, retryable = "overloaded", 503, True


class NotReady(ServerFault):
    code, status, retryable = "not_ready", 503, True


class Fetching(ServerFault):
    code, status, retryable = "fetching", 503, True


class DeadlineExceeded(ServerFault):
    code, status, retryable = "deadline_exceeded", 504, True


class ModelFailed(ServerFault):
    code, status = "model_failed", 500


class EngineDied(ServerFault):
    code, status, retryable = "engine_died", 503, True


class Unavailable(ServerFault):
    code, status, retryable = "unavailable", 503, True
