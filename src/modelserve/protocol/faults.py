"""An error as the client sees it: one shape in every protocol.

OIP asks for ``{"error": "<message>"}`` and allows more: the code is stable, and ``retryable`` says whether
the same request may succeed later.
"""

from __future__ import annotations

import math

from modelserve.errors import ModelServeError, UnsupportedMedia
from modelserve.protocol.arrays import dump


def body(error: ModelServeError) -> bytes:
    return plain(error.message, error.code, error.retryable)


def plain(message: str, code: str, retryable: bool = False) -> bytes:
    """The body for a fault that has no class of its own, such as a route that is not there."""
    return dump({"error": message, "code": code, "retryable": retryable})


def told(error: BaseException, request_id: str) -> ModelServeError:
    """What the client may know: of a defect of ours only the request's id, which finds the log line."""
    if isinstance(error, ModelServeError):
        return error
    return ModelServeError(f"internal error; the log tells more under request id {request_id}")


def headers(error: ModelServeError) -> tuple[tuple[bytes, bytes], ...]:
    """``retry-after`` in whole seconds, at least 1, where the error says when to come back;
    ``accept-encoding`` where it says how a body may be packed."""
    if isinstance(error, UnsupportedMedia) and error.accepts:
        return ((b"accept-encoding", error.accepts.encode()),)
    if error.retry_after is None:
        return ()
    return ((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()),)
