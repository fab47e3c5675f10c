"""What another server says of a model, as the content of a package that refers to it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import orjson

from modelserve.domain.inference import DataType
from modelserve.domain.models import Allowed, External
from modelserve.errors import InvalidPackage, InvalidSpec, ModelServeError
from modelserve.runtimes.external.connection import Connection, as_object
from modelserve.runtimes.external.messages import EXTENSIONS

LIMIT = 5.0
"""Seconds for each of the two questions."""
_PATH = re.compile(r"(/[^?#]+)?/v2/models/[^/?#]+(/versions/[^/?#]+)?")


def describe(url: str, allowed: Allowed) -> bytes:
    """The ``external.json`` of the model at ``url``: the same bytes as long as the server says the same.

    Raises InvalidSpec for a URL that is none of a model or that the operator has not allowed, InvalidPackage
    for a model whose tensors are not known here, and Unavailable for a server that does not answer.
    """
    check(url, allowed)
    connection = Connection(url.rstrip("/"), 1)
    try:
        said = metadata(connection)
        raw = _takes_raw(connection)
    finally:
        connection.close()
    return orjson.dumps({"url": url.rstrip("/"), "binary": raw, **said}, option=orjson.OPT_SORT_KEYS)


def check(url: str, allowed: Allowed) -> None:
    """Raise InvalidSpec unless requests may be sent to this URL."""
    told = f"spec.model.uri: got {url[:200]!r}"
    try:
        parts = urlsplit(url)
        host, port = External(url).address
    except ValueError as error:
        raise InvalidSpec(f"{told}: {error}") from None
    if parts.scheme not in ("http", "https") or not host or not _PATH.fullmatch(parts.path.rstrip("/")):
        raise InvalidSpec(
            f"{told}: for runtime external write http://host:port/v2/models/NAME, or a version of it below"
        )
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidSpec(f"{told}: leave user, query and fragment out: a spec is shown to everybody")
    if not allowed.sends_to(host, port):
        raise InvalidSpec(
            f"{told}: requests are not sent on to {host}:{port}; the platform's operator may allow it: "
            f"MODELSERVE_ALLOW_EXTERNAL={host}:{port}"
        )


def metadata(connection: Connection) -> dict[str, Any]:
    """Inputs and outputs as the server tells them. Raises InvalidPackage for what is not known here."""
    said = as_object(connection.get("", LIMIT))
    return {role: _tensors(said, role) for role in ("inputs", "outputs")}


def _tensors(said: dict[str, Any], role: str) -> list[dict[str, Any]]:
    told = said.get(role)
    if not isinstance(told, list) or not told:
        raise InvalidPackage(f"the external server's metadata names no {role}; requests could not be checked")
    return [_tensor(each, f"{role}[{index}]") for index, each in enumerate(told)]


def _tensor(told: Any, place: str) -> dict[str, Any]:
    try:
        name, datatype, shape = told["name"], told["datatype"], told["shape"]
        axes = [max(-1, int(axis)) for axis in shape]
        if not isinstance(name, str) or not axes or 0 in axes:
            raise ValueError("a name and lengths are wanted")
        return {"name": name, "datatype": DataType(datatype).value, "shape": axes}
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidPackage(
            f"the external server's metadata: {place}: got {told!r:.200}: {error}"
        ) from error


def _takes_raw(connection: Connection) -> bool:
    """Whether its server says so; one that says nothing takes JSON."""
    try:
        extensions = as_object(connection.get("/v2", LIMIT)).get("extensions")
    except ModelServeError:
        return False
    return isinstance(extensions, list) and not EXTENSIONS.isdisjoint(map(str, extensions))
