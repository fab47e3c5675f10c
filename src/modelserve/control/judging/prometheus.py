"""Counts from Prometheus: the operator says where it is, whoever asks says what to query."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any

import httpx

from modelserve._kit.snapshots import snapshot
from modelserve.errors import InvalidInput, Unavailable
from modelserve.judge.streams import MOST, Counts

TIMEOUT = 5.0
"""Seconds that one query may take."""
_LONGEST = 4096
FIELDS = ("stableTotal", "stableBad", "candidateTotal", "candidateBad")


@dataclass(frozen=True, slots=True)
class Queries:
    """PromQL for counters: how many requests there were so far, and how many bad ones."""

    stable: tuple[str, str]
    candidate: tuple[str, str]

    @classmethod
    def of(cls, told: Any, where: str) -> Queries:
        """Raises InvalidInput that names the field."""
        if not isinstance(told, dict):
            raise InvalidInput(f"{where}: got {type(told).__name__}; write {', '.join(FIELDS)}")
        if unknown := sorted(set(told) - set(FIELDS)):
            raise InvalidInput(f"{where}.{unknown[0][:80]}: is no query; there are {', '.join(FIELDS)}")
        for field in FIELDS:
            query = told.get(field)
            if not isinstance(query, str) or not 0 < len(query) <= _LONGEST:
                raise InvalidInput(f"{where}.{field}: got {str(query)[:80]!r}; write a PromQL query")
        return cls((told[FIELDS[0]], told[FIELDS[1]]), (told[FIELDS[2]], told[FIELDS[3]]))


class Prometheus:
    """One server. ``url`` empty: there is none, and asking it is refused."""

    def __init__(self, url: str = "") -> None:
        self._url = url.rstrip("/")

    async def counts(self, queries: Queries) -> tuple[Counts | None, Counts | None]:
        """(stable, candidate) so far, as they stood together; None where a query found nothing.

        Raises InvalidInput where no server was named or the query is none, Unavailable where it is down.
        """
        if not self._url:
            raise InvalidInput(
                "prometheus: this judge has none to ask; start it with --prometheus (a platform: with "
                "MODELSERVE_PROMETHEUS_URL), or send counts"
            )
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
            return await snapshot(lambda: self._counts(client, queries))

    async def _counts(
        self, client: httpx.AsyncClient, queries: Queries
    ) -> tuple[Counts | None, Counts | None]:
        texts = (*queries.stable, *queries.candidate)
        found = await asyncio.gather(*(self._one(client, text) for text in texts))
        return _pair(found[0], found[1]), _pair(found[2], found[3])

    async def _one(self, client: httpx.AsyncClient, query: str) -> int | None:
        try:
            reply = await client.post(f"{self._url}/api/v1/query", data={"query": query})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"Prometheus can't be asked: {error or type(error).__name__}") from None
        if reply.status_code == 400:
            raise InvalidInput(f"prometheus: {query[:200]!r} is no query: {reply.text[:200]}")
        try:
            result = reply.raise_for_status().json()["data"]["result"]
            values = [float(sample["value"][1]) for sample in result]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError):
            raise Unavailable(f"Prometheus answered with {reply.status_code} and no instant vector") from None
        return _whole(query, values)


def _whole(query: str, values: list[float]) -> int | None:
    if len(values) > 1:
        raise InvalidInput(f"prometheus: {query[:200]!r} gives {len(values)} series; wrap it in sum(...)")
    if not values or math.isnan(values[0]):
        return None
    if not 0 <= values[0] <= MOST:
        raise InvalidInput(f"prometheus: {query[:200]!r} gives {values[0]:g}; it must tell a counter")
    return round(values[0])


def _pair(total: int | None, bad: int | None) -> Counts | None:
    """No series of bad ones, where there are requests, means that there was none yet."""
    return None if total is None else (total, min(bad or 0, total))
