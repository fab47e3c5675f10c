"""The control API's view of a shadow stage: the requests on which the versions differ most."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from modelserve.control.platform import Platform
from modelserve.domain.differences import DifferenceKind
from modelserve.domain.rollouts import Rollout
from modelserve.errors import NotFound
from modelserve.judge.spans import align
from modelserve.observers.differences import Differing

MOST = 200

Json = dict[str, Any]


def shadow_routes(platform: Platform, problems: dict[int | str, dict[str, Any]]) -> APIRouter:
    """``GET .../shadow/diff``; everything in it comes from the controller's memory."""
    api = APIRouter(prefix="/api/v1/services/{name}", responses=problems)

    @api.get("/shadow/diff")
    async def diff(
        name: Annotated[str, Path(max_length=64, description="Name of a model service")],
        limit: Annotated[int, Query(ge=1, le=MOST)] = 20,
        kind: DifferenceKind | None = None,
    ) -> Json:
        """Of the latest rollout, those that differ most first; of one kind, or of all."""
        service = platform.book.service(name)
        if service.rollout is None:
            raise NotFound(f"{name} has had no rollout yet, so no two versions of it were compared")
        found = platform.differences.of(name, service.rollout.candidate, limit, kind)
        shadow = service.policy.shadow
        inputs = shadow is not None and shadow.keep_inputs
        return _about(service.rollout) | {"inputs": inputs, "differences": [view(one) for one in found]}

    return api


def _about(rollout: Rollout) -> Json:
    return {
        "service": rollout.service,
        "stable": rollout.stable or None,
        "candidate": rollout.candidate,
        "phase": rollout.phase,
        "totals": dict(rollout.totals),
    }


def view(one: Differing) -> Json:
    """``parts``: of entities, place by place what either version has there and in what they differ."""
    return {
        "id": one.id,
        "at": one.at,
        "score": round(one.difference.score, 4),
        "kinds": dict(one.difference.kinds),
        "noisy": one.noisy,
        "status": one.status,
        "input": one.input,
        "stable": one.stable,
        "candidate": one.candidate,
        "parts": _parts(one) if _both_have_entities(one) else None,
    }


def _both_have_entities(one: Differing) -> bool:
    answers = (one.stable, one.candidate)
    return all(answer is not None and answer.get("kind") == "entities" for answer in answers)


def _parts(one: Differing) -> list[Json]:
    items = zip(one.stable["items"], (one.candidate or {})["items"], strict=False)
    return [
        {
            "item": number,
            "kinds": list(match.kinds),
            "stable": match.stable and list(match.stable),
            "candidate": match.candidate and list(match.candidate),
        }
        for number, (expected, found) in enumerate(items)
        for match in align(expected, found)
    ]
