"""The labels' part of the control API."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from modelserve.control.bodies import read_at_most
from modelserve.control.label_items import Item, items_of
from modelserve.control.labels import LabelDesk
from modelserve.control.platform import Platform
from modelserve.control.remembering import is_guarded
from modelserve.domain.labels import LabelAnswer, LabelState, LabelSums
from modelserve.errors import NotFound, UnsupportedMedia

MAX_BYTES = 4 * 1024 * 1024
MEDIA = ("application/json", "application/jsonl", "application/x-ndjson", "application/x-jsonlines")
ITEM = {
    "type": "object",
    "required": ["request_id", "service"],
    "properties": {
        "request_id": {"type": "string", "description": "What the answer's header x-request-id said."},
        "service": {"type": "string"},
        "label": {"description": "The class, or a list of entities {label, start, end}."},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "correct": {"type": "boolean"},
        "time": {"description": "When the truth became known: Unix seconds, or as ISO 8601 says it."},
    },
}
"""One of label, score and correct; also a line of ``application/jsonl``."""
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "array", "minItems": 1, "items": ITEM}}},
    }
}

Json = dict[str, Any]
Name = Annotated[str, Path(max_length=64, description="Name of a model service")]


def labels_routes(platform: Platform, problems: dict[int | str, dict[str, Any]]) -> APIRouter:
    api = APIRouter(prefix="/api/v1", responses=problems)
    refused: dict[int | str, dict[str, Any]] = dict.fromkeys((413, 415), problems[400])

    @api.post("/labels", openapi_extra=BODY, responses=refused)
    async def labels(request: Request) -> Json:
        """What turned out to be true of requests, as a JSON array or JSON Lines; tells for each item, in the
        order of the body, what became of it."""
        items = items_of(await _body(request), platform.now())
        answers = await _taken(platform, items)
        counts = Counter(answer.state.value for answer in answers)
        told = [_answer_view(item, answer) for item, answer in zip(items, answers, strict=True)]
        return {state.value: counts[state.value] for state in LabelState} | {"items": told}

    @api.get("/services/{name}/labels")
    async def status(name: Name) -> Json:
        """What is remembered of a service's predictions, and what its labels say of each revision."""
        service = platform.book.service(name)
        sums = await platform.labels.sums(name)
        return {"guarded": is_guarded(service), **_sums_view(name, platform.labels, sums)}

    return api


async def _body(request: Request) -> bytes:
    medium = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if medium not in MEDIA:
        raise UnsupportedMedia(f"content-type: got {medium or 'none'!r}: send one of {', '.join(MEDIA)}")
    return await read_at_most(request, MAX_BYTES, "send labels in parts")


async def _taken(platform: Platform, items: list[Item]) -> list[LabelAnswer]:
    """One answer for each item, in their order."""
    answers = {item.place: LabelAnswer(LabelState.MALFORMED, item.problem) for item in items}
    for service in {item.service for item in items if item.label is not None}:
        mine = [item for item in items if item.service == service and item.label is not None]
        try:
            name = platform.book.service(service).name
            told = await platform.labels.take(name, [item.label for item in mine if item.label])
        except NotFound as error:
            told = [LabelAnswer(LabelState.MALFORMED, f"service: {error.message}")] * len(mine)
        answers |= {item.place: answer for item, answer in zip(mine, told, strict=True)}
    return [answers[item.place] for item in items]


def _answer_view(item: Item, answer: LabelAnswer) -> Json:
    return {
        "place": item.place,
        "request_id": item.request_id,
        "service": item.service,
        "state": answer.state,
        "detail": answer.detail,
    }


def _sums_view(name: str, desk: LabelDesk, sums: LabelSums) -> Json:
    return {
        "service": name,
        "predictions": sums.predictions,
        "oldest": sums.oldest,
        "newest": sums.newest,
        "missed": desk.missed[name],
        "labels": dict(sums.states),
        "answered": dict(desk.answered.get(name, {})),
        "revisions": _by_revision(sums),
    }


def _by_revision(sums: LabelSums) -> list[Json]:
    """Each revision's metrics over all that it answered, whatever the arm."""
    metrics: dict[tuple[str, str], list[float]] = {}
    for count in sums.counts:
        total = metrics.setdefault((count.revision, count.metric), [0, 0.0])
        total[0] += count.n
        total[1] += count.bad
    return [_metric_view(*key, *total) for key, total in sorted(metrics.items())]


def _metric_view(revision: str, metric: str, n: float, bad: float) -> Json:
    return {"revision": revision, "metric": metric, "labels": int(n), "value": 1 - bad / n}
