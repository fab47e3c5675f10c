"""Routes of the judge: stateless, by id, and as Flagger asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from modelserve.control.judging import flagger
from modelserve.control.judging.judgements import Judgement, Judgements, Seen
from modelserve.control.judging.prometheus import Prometheus, Queries
from modelserve.control.judging.requests import Asked, asked, document
from modelserve.domain.rollouts import Decision, Verdict
from modelserve.errors import InvalidInput, NotFound
from modelserve.judge import tokens
from modelserve.judge.streams import Increment, begin, look, terms_of

Json = dict[str, Any]
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$", description="Whatever is judged")]
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


def judge_routes(
    judgements: Judgements, prometheus: Prometheus, problems: Mapping[int | str, dict[str, Any]]
) -> APIRouter:
    api = APIRouter(prefix="/api/v1/judge", responses={**problems, 413: problems[400]})
    _stateless(api)
    _flagger(api, judgements, prometheus)
    _by_id(api, judgements, prometheus)
    return api


def _stateless(api: APIRouter) -> None:
    @api.post("", openapi_extra=BODY)
    async def judge_once(request: Request) -> Json:
        """One look. What is remembered stands in ``evidence``: send it back with the next counts."""
        return _once(await asked(request))


def _once(told: Asked) -> Json:
    if told.prometheus is not None or told.version or told.counts == "totals":
        raise InvalidInput("counts: queries, versions and totals are for a judge with an id")
    terms, seen = terms_of(told.settings or {}), told.seen()
    course = tokens.read(terms, told.evidence) if told.evidence else begin(terms)
    seconds = 1.0 if seen.seconds is None else seen.seconds
    added = Increment(seen.stable, seen.candidate, seconds, seen.weight, None, seen.hard_failure)
    course, verdict = look(terms, course, added)
    return verdict_view(verdict) | {"evidence": tokens.write(terms, course)}


def _by_id(api: APIRouter, judgements: Judgements, prometheus: Prometheus) -> None:
    @api.get("/{id}")
    async def verdict(id: Id) -> Json:
        """The last verdict."""
        return case_view(id, await judgements.get(id))

    @api.post("/{id}", openapi_extra=BODY)
    async def add(id: Id, request: Request) -> Json:
        """One look at what is judged under this id; the first one begins it, under its settings."""
        told = await asked(request)
        if told.evidence:
            raise InvalidInput("evidence: a judge with an id keeps it by itself")
        seen = told.seen()
        if (queries := told.queries) is not None:
            seen = await _queried(prometheus, queries, seen)
        return case_view(id, await judgements.look(id, seen, told.settings, told.version))

    @api.delete("/{id}")
    async def forget(id: Id) -> Json:
        """Begin anew with the next look."""
        await judgements.forget(id)
        return {"message": f"{id} is forgotten"}


async def _queried(prometheus: Prometheus, queries: Queries, seen: Seen) -> Seen:
    stable, candidate = await prometheus.counts(queries)
    return replace(seen, stable=stable, candidate=candidate, cumulative=True)


def _flagger(api: APIRouter, judgements: Judgements, prometheus: Prometheus) -> None:
    @api.get("/prometheus/api/v1/query")
    async def figure(query: Annotated[str, Query(max_length=1000)]) -> Json:
        """A figure of a verdict in Prometheus's shape, for Flagger's metric templates."""
        if query.strip() == "vector(1)":  # how Flagger asks whether anybody is there
            return flagger.vector(1.0, time.time())
        name, id = flagger.figure_of(query)
        try:
            return flagger.vector(flagger.value_of(name, await judgements.get(id)), time.time())
        except NotFound:
            return flagger.vector(None, time.time())

    @api.post("/flagger/{hook}", openapi_extra=BODY)
    async def webhook(hook: flagger.Hook, request: Request) -> JSONResponse:
        """A webhook of Flagger's: 200 to go on, 409 not to, with the reasons."""
        call = flagger.call_of(await document(request))
        if hook is flagger.Hook.ROLLOUT:
            seen = await _queried(prometheus, call.queries, Seen(None, None, gated=True))
            case = await judgements.look(call.id, seen, call.settings, call.version)
            return _answer(call.id, case, not _rolls_back(case.verdict))
        if hook is flagger.Hook.CONFIRM_TRAFFIC_INCREASE:
            following = await judgements.next_step(call.id, call.version)
            if following is None:
                return JSONResponse({"id": call.id, "reasons": ["the first weight is due"]})
            return _answer(call.id, following, _promotes(following.verdict))
        case = await judgements.get(call.id)
        agrees = _rolls_back if hook is flagger.Hook.ROLLBACK else _promotes
        return _answer(call.id, case, case.version == call.version and agrees(case.verdict))


def _rolls_back(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.decision is Decision.ROLL_BACK


def _promotes(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.decision is Decision.PROMOTE


def _answer(id: str, case: Judgement, goes_on: bool) -> JSONResponse:
    return JSONResponse(case_view(id, case), status_code=200 if goes_on else 409)


def case_view(id: str, case: Judgement) -> Json:
    shown = verdict_view(case.verdict) if case.verdict else {"decision": Decision.CONTINUE, "go_on": True}
    return {"id": id, "version": case.version, "at": case.at, **shown}


def verdict_view(verdict: Verdict) -> Json:
    return {
        "decision": verdict.decision,
        "go_on": verdict.decision is not Decision.ROLL_BACK,
        "reasons": list(verdict.reasons),
        "metric": verdict.metric,
        "requests": verdict.requests,
        "readings": [asdict(reading) for reading in verdict.readings],
    }
