"""The experiments' part of the control API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from modelserve.control import experiments
from modelserve.control.bodies import read_at_most
from modelserve.control.experiments_metrics import exposition
from modelserve.control.noting import everyone
from modelserve.control.outcomes import MOST_ITEMS, Unreadable, record, summary
from modelserve.control.platform import Platform
from modelserve.control.readouts import course, readout
from modelserve.domain.experiments import ExperimentState
from modelserve.errors import InvalidInput, InvalidSpec, PayloadTooLarge
from modelserve.experiments.assignment import SLOTS, shares
from modelserve.manifest import parse_experiment

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
MAX_OUTCOMES_BYTES = 4 * 1024 * 1024

Json = dict[str, Any]
Name = Annotated[str, Path(max_length=64, description="Name of an experiment")]
ReadText = Callable[[Request], Awaitable[str]]


def metrics_route(platform: Platform, problems: dict[int | str, Json]) -> APIRouter:
    """Beside the API: where Prometheus looks."""
    api = APIRouter()
    plain: dict[int | str, Json] = {200: {"content": {"text/plain": {}}}, 503: problems[503]}

    @api.get("/metrics", response_class=Response, responses=plain)
    async def metrics() -> Response:
        """What the controller counts, for Prometheus."""
        return Response(await exposition(platform), media_type=EXPOSITION)

    return api


def experiment_routes(platform: Platform, problems: dict[int | str, Json], read: ReadText) -> APIRouter:
    """``read`` takes the text of a spec from a request."""
    api = APIRouter(prefix="/api/v1/experiments", responses=problems)
    one_at_a_time = asyncio.Lock()

    @api.get("")
    async def list_all() -> list[Json]:
        """Every experiment, over or not."""
        return [state_view(state) for state in await everyone(platform)]

    @api.get("/{name}")
    async def one(name: Name) -> Json:
        """Where an experiment stands, with its spec."""
        state = await experiments.get(platform, name)
        return state_view(state) | {"spec": dict(state.document)}

    @api.put("/{name}", openapi_extra=SPEC_BODY, responses={413: problems[400], 415: problems[400]})
    async def apply(name: Name, request: Request) -> Json:
        """Begin an experiment, or give one that runs other weights; paths of models must be absolute."""
        spec = parse_experiment(await read(request), "request body")
        if spec.name != name:
            raise InvalidSpec(f"metadata.name: got {spec.name!r}, but the path says {name!r}: write one name")
        state, message = await experiments.apply(platform, spec)
        return {"message": message, "experiment": state_view(state)}

    @api.delete("/{name}")
    async def delete(name: Name) -> Json:
        """Forget an experiment with its exposures and outcomes; one that runs ends by it."""
        return {"message": await experiments.delete(platform, name)}

    @api.get("/{name}/results")
    async def results(name: Name) -> Json:
        """What is known by now; may be looked at as often as anybody likes."""
        state = await experiments.get(platform, name)
        return state_view(state) | await readout(platform, name)

    @api.get("/{name}/course")
    async def drawn(name: Name, points: Annotated[int, Query(ge=1, le=1000)] = 200) -> Json:
        """How the results came about: each metric as it was read after each of ``points`` equal parts of its
        outcomes."""
        async with one_at_a_time:
            return await course(platform, name, points)

    @api.post("/{name}/outcomes", openapi_extra=OUTCOMES_BODY, responses={413: problems[400]})
    async def tell(name: Name, request: Request) -> Json:
        """What became of participants: a JSON array, or one JSON object a line."""
        return summary(await record(platform, name, _items(await _text(request))))

    @api.post("/{name}/stop")
    async def stop(name: Name) -> Json:
        """End an experiment: the stable revision answers everybody again. Outcomes are still taken."""
        state, message = await experiments.stop(platform, name)
        return {"message": message, "experiment": state_view(state)}

    return api


SPEC_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}


_OUTCOME = {
    "type": "object",
    "required": ["metric", "value"],
    "properties": {
        "key": {"type": "string"},
        "request_id": {"type": "string"},
        "metric": {"type": "string"},
        "value": {"type": "number"},
    },
}
OUTCOMES_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "array", "items": _OUTCOME}},
            "application/x-ndjson": {"schema": _OUTCOME},
        },
    }
}


async def _text(request: Request) -> str:
    body = await read_at_most(request, MAX_OUTCOMES_BYTES, "send it in parts")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8 text: byte {error.start}") from None


def _items(text: str) -> list[Any]:
    """The items of an array, or one of each line; a bad line does not lose the others.

    Raises InvalidInput for an array that can't be read, and where no line can.
    """
    if text.lstrip().startswith("["):
        items = _json(text, "the body")
    else:
        items = [_line(line, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if items and all(isinstance(item, Unreadable) for item in items):
            raise InvalidInput(items[0].detail)
    if len(items) > MOST_ITEMS:
        raise PayloadTooLarge(f"got {len(items)} outcomes: send at most {MOST_ITEMS} at once")
    return list(items)


def _line(line: str, number: int) -> Any:
    try:
        return _json(line, f"line {number}")
    except InvalidInput as error:
        return Unreadable(error.message)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(
            f"{where}: not JSON: send an array of outcomes, or one outcome a line, such as "
            '{"key": "ada", "metric": "accepted", "value": 1}'
        ) from None


def state_view(state: ExperimentState) -> Json:
    """An experiment for people: who would meet which arm now."""
    slots = shares(state.layout)
    arms = [
        {"name": arm.name, "revision": state.revisions[arm.name], "weight": slots.get(arm.name, 0) / SLOTS}
        for arm in state.spec.arms
    ]
    return {
        "name": state.name,
        "service": state.service,
        "phase": state.phase,
        "reason": state.reason,
        "applied": state.applied,
        "started": state.started,
        "ended": state.ended,
        "arms": arms,
        "metrics": [metric.name for metric in state.spec.metrics],
    }
