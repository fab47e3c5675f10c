"""Ledgers that follow the records, outcome by outcome.

A ledger lives in memory and is made anew from the records after a restart; the order of the outcomes is the
records', so it says the same again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from modelserve.domain.experiments import ExperimentState, OutcomeMetric
from modelserve.experiments.ledger import Ledger
from modelserve.stores.records.base import Records

PAGE = 5000
"""Outcomes read at once."""
LAG = 10.0
"""Seconds that an exposure may take from the front door to the records; windows end so much later."""


@dataclass
class _Following:
    """A ledger and how far it has followed the records."""

    ledger: Ledger
    told: int = 0
    matured: tuple[float, str] = (0.0, "")


class Ledgers:
    """The ledgers of the experiments that were asked for."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._following: dict[tuple[str, float, str], _Following] = {}

    async def of(self, records: Records, state: ExperimentState, now: float) -> tuple[Ledger, ...]:
        """The ledger of each metric, up to date. Raises Unavailable."""
        async with self._lock:
            return tuple([await self._follow(records, state, metric, now) for metric in state.spec.metrics])

    async def forget(self, experiment: str) -> None:
        """It is deleted; one that gets its name later begins anew."""
        async with self._lock:
            kept = {key: one for key, one in self._following.items() if key[0] != experiment}
            self._following = kept

    async def _follow(
        self, records: Records, state: ExperimentState, metric: OutcomeMetric, now: float
    ) -> Ledger:
        key = state.name, state.applied, metric.name
        following = self._following.get(key) or _Following(Ledger(state.spec, metric, state.began_with))
        until = now - (metric.window or 0.0) - LAG
        while await asyncio.to_thread(_turn_page, records, state.name, metric, following, until) == PAGE:
            pass
        self._following[key] = following
        return following.ledger


def _turn_page(
    records: Records, name: str, metric: OutcomeMetric, following: _Following, until: float
) -> int:
    ledger = following.ledger
    if metric.window is None:
        told = records.outcomes(name, metric.name, following.told, PAGE)
        for number, arm, value in told:
            ledger.add(arm, value)
            following.told = number
        return len(told)
    matured = records.matured(name, metric.name, following.matured, until, PAGE)
    for position, arm, found in matured:
        ledger.add(arm, found or 0.0)
        following.matured = position
    return len(matured)
