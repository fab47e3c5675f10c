"""Errors of the front door itself, in the shape that the model servers' errors have.

Envoy marks each of its own answers with a response flag; what carries none is told apart by its status.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelserve.routing.envoy.vocabulary import Json, error_body, set_header


@dataclass(frozen=True, slots=True)
class Reply:
    message: str
    code: str
    retryable: bool
    flags: tuple[str, ...] = ()
    """Response flags of Envoy; see "Response flags" in its access log documentation."""
    status: int = 0
    """Status that this reply is for, where there is no flag."""
    path: str = ""
    """Path that it is for; empty for any."""


REPLIES = (
    Reply("the servers are at their limit; try again", "overloaded", True, ("UO", "OM", "DO")),
    Reply("no answer came in time", "deadline_exceeded", True, ("UT", "SI", "UMSDR")),
    Reply("no server can answer this now; try again", "unavailable", True,
          ("UH", "UF", "UC", "UR", "LR", "LH", "NC", "UPE", "URX")),
    Reply("not valid HTTP: %RESPONSE_CODE_DETAILS%", "invalid_input", False, ("DPE", "IH")),
    Reply("nothing answers at '%PATH(NQ)%'", "not_found", False, ("NR",)),
    Reply("nothing answers at '*'", "not_found", False, status=404, path="*"),
    Reply("the path or a header is malformed: %RESPONSE_CODE_DETAILS%", "invalid_input", False, status=400),
    Reply("this can't be upgraded to another protocol", "invalid_input", False, status=403),
    Reply("the request did not arrive in time", "deadline_exceeded", True, status=408),
    Reply("the request body is too large", "payload_too_large", False, status=413),
    Reply("the request headers are too large", "invalid_input", False, status=431),
    Reply("send the body in chunks alone, or with its length", "invalid_input", False, status=501),
    Reply("the front door can't take this request now; try again", "unavailable", True, status=503),
    Reply("no answer came in time", "deadline_exceeded", True, status=504),
)  # fmt: skip


def local_replies() -> Json:
    """The first that fits counts. What is a body elsewhere is the message of a status in gRPC."""
    return {"mappers": [*map(_grpc_mapper, REPLIES), *map(_mapper, REPLIES)]}


def _mapper(reply: Reply) -> Json:
    mapper: Json = {
        "filter": _filter(reply),
        "body_format_override": error_body(reply.message, reply.code, reply.retryable),
    }
    if reply.retryable:
        mapper["headers_to_add"] = [set_header("retry-after", "1")]
    return mapper


def _grpc_mapper(reply: Reply) -> Json:
    told = {
        "grpc-status": _GRPC_STATUSES[reply.code],
        "x-modelserve-code": reply.code,
        "x-modelserve-retryable": str(reply.retryable).lower(),
    }
    if reply.retryable:
        told["grpc-retry-pushback-ms"] = "1000"
    return {
        "filter": {"and_filter": {"filters": [_IN_GRPC, _filter(reply)]}},
        "body_format_override": {"text_format_source": {"inline_string": reply.message}},
        "headers_to_add": [set_header(name, value) for name, value in told.items()],
    }


_GRPC_STATUSES = {
    "invalid_input": "3",
    "payload_too_large": "3",
    "deadline_exceeded": "4",
    "not_found": "5",
    "overloaded": "8",
    "unavailable": "14",
}
"""gRPC's numbers; Envoy's own choice is UNAVAILABLE for most."""
_IN_GRPC = {
    "header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}
}


def _filter(reply: Reply) -> Json:
    if reply.flags:
        return {"response_flag_filter": {"flags": list(reply.flags)}}
    value = {"default_value": reply.status, "runtime_key": f"unused.{reply.status}"}
    status = {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}
    if not reply.path:
        return status
    path = {"header_filter": {"header": {"name": ":path", "string_match": {"exact": reply.path}}}}
    return {"and_filter": {"filters": [status, path]}}
