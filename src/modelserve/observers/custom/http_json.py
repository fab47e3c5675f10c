"""Adapter: a URL that answers with JSON."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from modelserve.domain.guardrails import HttpMetric, Kind, shown
from modelserve.observers.custom.base import Arm, Count, NoData, Nothing, Told
from modelserve.observers.custom.web import Web


class HttpSource:
    """One GET for each arm."""

    interval = 5.0
    patience = 3.0

    def __init__(self, source: HttpMetric, kind: Kind, web: Web) -> None:
        self._source, self._kind, self._web = source, kind, web

    @property
    def where(self) -> str:
        return shown(self._source.http)

    async def read(self, arms: Sequence[Arm]) -> list[Told]:
        return list(await asyncio.gather(*(self._arm(arm) for arm in arms)))

    async def _arm(self, arm: Arm) -> Told:
        try:
            status, answer = await self._web.get(fill(self._source.http, arm))
            if status != 200:
                raise NoData(f"answered {status}")
            total = number_at(answer, self._source.total)
            return total if self._kind is Kind.LIMIT else Count(total, number_at(answer, self._source.bad))
        except NoData as nothing:
            return Nothing(str(nothing))


def fill(url: str, arm: Arm) -> str:
    """The URL about one arm; names are escaped as in a path or a query."""
    for name, value in arm.names.items():
        url = url.replace(f"{{{name}}}", quote(value, safe=""))
    return url


def number_at(answer: Any, path: str) -> float:
    """The number at ``path``, with dots between names; digits count through an array. Raises NoData."""
    for name in path.split("."):
        if isinstance(answer, dict) and name in answer:
            answer = answer[name]
        elif isinstance(answer, list) and name.isdigit() and int(name) < len(answer):
            answer = answer[int(name)]
        else:
            raise NoData(f"has nothing at {path}")
    if answer is None:
        raise NoData(f"has null at {path}")
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        raise NoData(f"has no number at {path}, but {type(answer).__name__}")
    if not math.isfinite(answer):
        raise NoData(f"has {answer} at {path}")
    return float(answer)
