"""The part of the control API that tells why: a rollout explained, drawn over time, and look by look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from modelserve.audit import Record, course, explain
from modelserve.control import views
from modelserve.control.book import Service
from modelserve.control.platform import Platform
from modelserve.control.recording import this_judge
from modelserve.domain.rollouts import Rollout
from modelserve.errors import NotFound
from modelserve.rollout.looks import policy_digest

LATEST = "latest"
LEAST_OF_ID = 4
"""Letters of a rollout's id that are enough, if no other begins with them."""
PACE = 1000
"""Lines of looks that are sent at a time."""

Json = dict[str, Any]
Name = Annotated[str, Path(max_length=64, description="Name of a model service")]
Id = Annotated[
    str,
    Path(
        max_length=64,
        description="`latest`, the id of a rollout or how it begins, or its candidate's name",
    ),
]


def audit_routes(platform: Platform, problems: dict[int | str, dict[str, Any]]) -> APIRouter:
    api = APIRouter(prefix="/api/v1/services/{name}/rollouts/{id}", responses=problems)
    one_at_a_time = asyncio.Lock()

    @api.get("/explain")
    async def explained(name: Name, id: Id) -> Json:
        """Every verdict given again from what is stored, whether it is the same to the last bit, and why."""
        service, record = await read(platform, name, id)
        async with one_at_a_time:
            found = await asyncio.to_thread(explain, record)
        return {"rollout": views.rollout_view(service, record.rollout)} | found

    @api.get("/course")
    async def drawn(name: Name, id: Id, points: Annotated[int, Query(ge=1, le=5000)] = 600) -> Json:
        """Evidence beside its bounds, weights and requests over time, in at most about ``points`` points."""
        _, record = await read(platform, name, id)
        async with one_at_a_time:
            return await asyncio.to_thread(course, record, points)

    @api.get("/looks", response_class=StreamingResponse)
    async def looks(name: Name, id: Id) -> StreamingResponse:
        """Every look that is kept, one JSON object on a line."""
        _, record = await read(platform, name, id)
        return StreamingResponse(_in_parts(record), media_type="application/x-ndjson")

    return api


def _in_parts(record: Record) -> Iterator[str]:
    lines = list(record.lines.values())
    for begin in range(0, len(lines), PACE):
        yield "".join(f"{line}\n" for line in lines[begin : begin + PACE])


async def read(platform: Platform, name: str, id: str) -> tuple[Service, Record]:
    """All that is recorded of a rollout, at one moment. Raises NotFound."""
    async with platform.book.lock:
        rollout = _find(name, await platform.book.rollouts(name), id)
        service = platform.book.service(name)
        transitions = await platform.book.transitions(rollout.id)
        lines = await platform.book.looks(rollout.id)
    rules = service.revisions[rollout.candidate].spec["spec"]["rollout"]
    return service, Record(
        spec=service.spec_of(rollout.candidate).spec.rollout,
        policy=policy_digest(rules),
        rollout=rollout,
        transitions=transitions,
        lines=lines,
        judge=this_judge(),
    )


def _find(name: str, rollouts: tuple[Rollout, ...], id: str) -> Rollout:
    """The latest that ``id`` can mean."""
    if not rollouts:
        raise NotFound(f"{name} has had no rollout yet")
    if id == LATEST:
        return rollouts[-1]
    exact = [r for r in rollouts if id in (r.id, r.candidate)]
    alike = [r for r in rollouts if len(id) >= LEAST_OF_ID and r.id.startswith(id)]
    if found := exact or (alike if len(alike) == 1 else []):
        return found[-1]
    known = ", ".join(f"{r.id[:8]} ({r.candidate})" for r in rollouts[-5:])
    raise NotFound(f"{name} has no one rollout {id!r}; the latest are {known}")
