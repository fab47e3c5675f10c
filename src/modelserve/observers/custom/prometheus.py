"""Adapter: instant queries to a Prometheus HTTP API (also Thanos, Mimir, VictoriaMetrics)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any

from modelserve._kit.snapshots import snapshot
from modelserve.domain.guardrails import Kind, PromQL, shown
from modelserve.observers.custom.base import Arm, Count, NoData, Nothing, Told, brief
from modelserve.observers.custom.web import Web


class PrometheusSource:
    """``GET /api/v1/query``, both queries of an arm evaluated at the same moment.

    What was scraped before that moment may still be on its way into the database, and get there between the
    two; so both are asked until neither changes.

    https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
    """

    interval = 5.0
    patience = 6.0

    def __init__(self, source: PromQL, kind: Kind, web: Web, url: str) -> None:
        """``url`` is where Prometheus is unless the source says otherwise; empty: nobody said."""
        self._source, self._kind, self._web = source, kind, web
        self._url = (source.url or url).rstrip("/")

    @property
    def where(self) -> str:
        return f"Prometheus at {shown(self._url)}" if self._url else "Prometheus"

    async def read(self, arms: Sequence[Arm]) -> list[Told]:
        if not self._url:
            raise NoData("is nowhere: give the source a url, or set MODELSERVE_PROMETHEUS_URL")
        moment = f"{time.time():.3f}"
        return list(await asyncio.gather(*(self._arm(arm, moment) for arm in arms)))

    async def _arm(self, arm: Arm, moment: str) -> Told:
        try:
            if self._kind is Kind.LIMIT:
                return await self._query(self._source.promql, arm, moment)
            return await snapshot(lambda: self._count(arm, moment))
        except NoData as nothing:
            return Nothing(str(nothing))

    async def _count(self, arm: Arm, moment: str) -> Count:
        queries = (self._source.promql, self._source.bad)
        return Count(*await asyncio.gather(*(self._query(text, arm, moment) for text in queries)))

    async def _query(self, text: str, arm: Arm, moment: str) -> float:
        query = {"query": fill(text, arm), "time": moment}
        status, answer = await self._web.get(f"{self._url}/api/v1/query", query)
        if not isinstance(answer, dict):
            raise NoData(f"answered {status} with what is no object")
        if status != 200 or answer.get("status") != "success":
            raise NoData(f"answered {status}: {brief(str(answer.get('error', 'without a reason')))}")
        return _value(answer.get("data"), arm)


def fill(query: str, arm: Arm) -> str:
    """The query about one arm; names are escaped as in PromQL's string literals."""
    for name, value in arm.names.items():
        escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("'", r"\'").replace("\n", r"\n")
        query = query.replace(f"{{{name}}}", escaped)
    return query


def _value(data: Any, arm: Arm) -> float:
    """The one number of an answer. Raises NoData."""
    answer: dict[str, Any] = data if isinstance(data, dict) else {}
    kind = answer.get("resultType")
    result: Any = answer.get("result")
    if kind == "vector" and isinstance(result, list):
        result = _only(result, arm)
    elif kind != "scalar":
        raise NoData(f"answered with {brief(str(kind))}; a query must give one number")
    try:
        value = float(result[1])
    except (TypeError, ValueError, IndexError, KeyError):
        raise NoData("answered with a value that is no number") from None
    if not math.isfinite(value):
        raise NoData(f"answered {value} for {arm.revision}")
    return value


def _only(series: list[Any], arm: Arm) -> Any:
    if not series:
        told = "if that means zero, end the query with: or vector(0)"
        raise NoData(f"has no series for {arm.revision} that matches; {told}")
    if len(series) > 1:
        raise NoData(f"answered with {len(series)} series for {arm.revision}; sum() makes them one")
    return series[0].get("value") if isinstance(series[0], dict) else None
