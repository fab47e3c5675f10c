"""The model repository extension of the Open Inference Protocol: what there is, load, unload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI, Request

from modelserve.errors import InvalidInput, PayloadTooLarge
from modelserve.protocol import values
from modelserve.serving import schemas
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.openapi import body_of, faults_of
from modelserve.serving.repository import Entry, State

LARGEST = 64 * 1024
"""Bytes of a request's body; the few words that it may say need far less."""
_INDEX = body_of(schemas.RepositoryIndexRequest, required=False)
_CHANGE = body_of(schemas.RepositoryChangeRequest, required=False)
_FAULTS = faults_of(400, 404, 409, 413, 422, 500, 503)


def add_management(api: FastAPI, plane: Dataplane) -> None:
    told: dict[str, Any] = {"response_model": schemas.ModelState, "responses": _FAULTS}
    told |= {"openapi_extra": _CHANGE}

    @api.post(
        "/v2/repository/index",
        response_model=list[schemas.ModelState],
        responses=faults_of(400, 413, 503),
        openapi_extra=_INDEX,
    )
    async def repository_index(request: Request) -> Any:
        """The models that can be asked for and their states; with ``ready`` only those in memory."""
        ready = (await read_object(request)).get("ready", False)
        if not isinstance(ready, bool):
            raise values.got("ready", ready, "send true or false")
        return [_told(entry, state) for entry, state in states(plane) if not ready or state is State.READY]

    @api.post("/v2/repository/models/{model}/load", **told)
    async def load(model: str, request: Request) -> Any:
        """Load a model, or load it again; what is in memory answers until the new one can."""
        parameters = (await read_object(request)).get("parameters")
        if not isinstance(parameters, dict | None):
            raise values.got("parameters", parameters, "send an object")
        require_no_overrides(parameters or ())
        served = await plane.load(model)
        return {"name": model, "version": served.revision, "state": State.READY, "reason": ""}

    @api.post("/v2/repository/models/{model}/unload", **told)
    async def unload(model: str, request: Request) -> Any:
        """Let go of a model's memory, after the calls that it answers now; the next call loads it again."""
        await read_object(request)
        await plane.unload(model)
        return {"name": model, "version": "", "state": State.UNAVAILABLE, "reason": "unloaded"}


def states(plane: Dataplane) -> Iterator[tuple[Entry, State]]:
    """Every model with its state; none of a server that is not ready is ready either."""
    for entry in plane.repository.index():
        state = entry.state
        yield entry, state if plane.ready or state is not State.READY else State.UNAVAILABLE


def require_no_overrides(parameters: Iterable[str]) -> None:
    """Raise InvalidInput for parameters that would change what is loaded, as Triton's ``config`` does."""
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            told = "this server loads what lies in its repository; leave it out"
            raise InvalidInput(f"parameters.{name[:64]}: {told}")


def _told(entry: Entry, state: State) -> dict[str, Any]:
    return {"name": entry.name, "version": entry.version, "state": state, "reason": entry.reason}


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object that came, or an empty one where nothing did. Raises InvalidInput, PayloadTooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise PayloadTooLarge(f"body: larger than {LARGEST} bytes, which is the most that is taken")
    return values.parse(bytes(body)) if body.strip() else {}
