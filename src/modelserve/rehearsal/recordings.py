"""Read what was recorded: looks of the judge, or requests of clients, one JSON object a line.

A request is ``{"path": "/predict/NAME", "headers": {...}, "body": ...}``: a body is text, or any JSON value,
which is sent as JSON; bytes are written as ``body_base64``. ``headers`` may be left out.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelserve.errors import InvalidInput
from modelserve.rollout.looks import Look, from_json

JSON = "application/json"
_MODEL = re.compile(
    r"^/(?:predict/([^/?#\s]+)|v2/models/([^/?#\s]+)(?:/[^\s#]*)?|v1/models/([^/?#\s:]+):predict)$"
)
_HEADER = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
_FIELDS = ("path", "headers", "body", "body_base64")
_OURS = ("host", "content-length", "connection", "transfer-encoding", "expect", "upgrade", "keep-alive", "te")
"""Headers that the replay sets by itself."""


@dataclass(frozen=True, slots=True)
class Request:
    """A POST to a model."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        match = _MODEL.fullmatch(self.path)
        return next(name for name in match.groups() if name) if match else ""


def is_requests(text: str) -> bool:
    """Whether the recording has requests, by its first line."""
    first = next((line for _, line in _lines(text)), "")
    try:
        told = json.loads(first)
    except ValueError:
        return False
    return isinstance(told, dict) and "path" in told


def read_looks(text: str, source: str) -> list[Look]:
    """Looks in the order of time. Raises InvalidInput that names the line."""
    looks = [_at(source, number, lambda line=line: from_json(_object(line))) for number, line in _lines(text)]
    if not looks:
        raise InvalidInput(f"{source}: has no looks; record some with `modelserve rollout export`")
    for before, after in itertools.pairwise(looks):
        if after.at < before.at:
            raise InvalidInput(
                f"{source}: a look at {after.at:g} comes after one at {before.at:g}: sort them"
            )
    return looks


def read_requests(text: str, source: str) -> list[Request]:
    """Requests to one model. Raises InvalidInput that names the line."""
    found = [_at(source, number, lambda line=line: _request(_object(line))) for number, line in _lines(text)]
    if not found:
        raise InvalidInput(f"{source}: has no requests; write one JSON object a line")
    names = sorted({request.model for request in found})
    if len(names) > 1:
        raise InvalidInput(f"{source}: asks {', '.join(names)}; record the requests of one model")
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    numbered = enumerate(text.split("\n"), 1)
    return ((number, line) for number, line in numbered if line.strip())


def _at(source: str, number: int, read: Any) -> Any:
    try:
        return read()
    except InvalidInput as error:
        raise InvalidInput(f"{source}, line {number}: {error.message}") from None


def _object(line: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"is not JSON: {error}") from None
    if not isinstance(told, dict):
        raise InvalidInput(f"got {type(told).__name__}: write a JSON object")
    return told


def _request(told: dict[str, Any]) -> Request:
    if unknown := sorted(set(told) - set(_FIELDS)):
        raise InvalidInput(f"{unknown[0][:80]}: is no field of a request; there are {', '.join(_FIELDS)}")
    path = told.get("path")
    if not isinstance(path, str) or _MODEL.fullmatch(path) is None:
        raise InvalidInput(
            f"path: got {str(path)[:80]!r}; write /predict/NAME, /v2/models/NAME/infer or "
            "/v1/models/NAME:predict"
        )
    headers = _headers(told.get("headers", {}))
    body = _body(told)
    if not isinstance(told.get("body"), str | None):
        headers.setdefault("content-type", JSON)
    return Request(path, body, headers)


def _headers(told: Any) -> dict[str, str]:
    if not isinstance(told, dict):
        raise InvalidInput(f"headers: got {type(told).__name__}; write an object of texts")
    for name, value in told.items():
        if not _HEADER.fullmatch(name) or not isinstance(value, str) or not _is_value(value):
            raise InvalidInput(
                f"headers.{name[:80]}: got {str(value)[:80]!r}; write a header's name and text"
            )
    return {name.lower(): value for name, value in told.items() if name.lower() not in _OURS}


def _is_value(value: str) -> bool:
    return value.isascii() and (value.isprintable() or value == "")


def _body(told: dict[str, Any]) -> bytes:
    if ("body" in told) == ("body_base64" in told):
        raise InvalidInput("body: write either body or body_base64")
    if "body" in told:
        body = told["body"]
        try:
            return (body if isinstance(body, str) else json.dumps(body)).encode()
        except UnicodeEncodeError:
            raise InvalidInput("body: is no text: it has half a surrogate; write body_base64") from None
    try:
        return base64.b64decode(told["body_base64"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidInput(f"body_base64: got {str(told['body_base64'])[:40]!r}; write base64") from None
