"""Ledgers that follow the records, outcome by outcome.

A ledger lives in memory and is made anew from the records after a restart; the order of the outcomes is the
records', so it says the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from modelserve.domain.experiments import ExperimentState, OutcomeMetric
from modelserve.experiments.ledger import Ledger
from modelserve.stores.records.base import Records

T = TypeVar("T")

PAGE = 5000
"""Outcomes read at once."""
LAG = 10.0
"""Seconds that an exposure may take from the front door to the records; windows end so much later."""


class _Following:
    """The ledger of one metric, and how far it has followed the records."""

    def __init__(self, state: ExperimentState, metric: OutcomeMetric) -> None:
        self.ledger = Ledger(state.spec, metric, state.began_with)
        self.read = 0
        """Rows."""
        self._name, self._metric = state.name, metric
        self._told = 0
        self._matured = (0.0, "")

    def turn_page(self, records: Records, now: float, most: int = PAGE) -> int:
        """Read the next rows, ``most`` at the most; how many there were."""
        window = self._metric.window
        if window is None:
            found = self._read_told(records, most)
        else:
            found = self._read_matured(records, now - window - LAG, most)
        self.read += found
        return found

    def _read_told(self, records: Records, most: int) -> int:
        told = records.outcomes(self._name, self._metric.name, self._told, most)
        for number, arm, value in told:
            self.ledger.add(arm, value)
            self._told = number
        return len(told)

    def _read_matured(self, records: Records, until: float, most: int) -> int:
        matured = records.matured(self._name, self._metric.name, self._matured, until, most)
        for position, arm, value in matured:
            self.ledger.add(arm, value or 0.0)
            self._matured = position
        return len(matured)


class Ledgers:
    """The ledgers of the experiments that were asked for."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._following: dict[tuple[str, float, str], _Following] = {}

    async def of(self, records: Records, state: ExperimentState, now: float) -> tuple[Ledger, ...]:
        """The ledger of each metric, up to date. Raises Unavailable."""
        async with self._lock:
            found = [await self._follow(records, state, metric, now) for metric in state.spec.metrics]
            return tuple(following.ledger for following in found)

    async def retrace(
        self, records: Records, state: ExperimentState, now: float, points: int, see: Callable[[Ledger], T]
    ) -> tuple[list[T], ...]:
        """For each metric, what ``see`` finds in its ledger as it was after each of ``points`` equal parts of
        its outcomes; the last is as it is now. Raises Unavailable."""
        async with self._lock:
            found = [await self._follow(records, state, metric, now) for metric in state.spec.metrics]
            reached = [following.read for following in found]
        seen = []
        for metric, rows in zip(state.spec.metrics, reached, strict=True):
            again, ends = _Following(state, metric), _parts(rows, points)
            seen.append(await asyncio.to_thread(_retrace, records, again, now, ends, see))
        return tuple(seen)

    async def forget(self, experiment: str) -> None:
        """It is deleted; one that gets its name later begins anew."""
        async with self._lock:
            kept = {key: one for key, one in self._following.items() if key[0] != experiment}
            self._following = kept

    async def _follow(
        self, records: Records, state: ExperimentState, metric: OutcomeMetric, now: float
    ) -> _Following:
        key = state.name, state.applied, metric.name
        following = self._following.get(key) or _Following(state, metric)
        while await asyncio.to_thread(following.turn_page, records, now) == PAGE:
            pass
        self._following[key] = following
        return following


def _parts(rows: int, points: int) -> list[int]:
    """``rows`` divided into ``points`` parts: where each ends, none twice."""
    return sorted({-(-rows * part // points) for part in range(1, points + 1)} - {0})


def _retrace(
    records: Records, following: _Following, now: float, ends: Iterable[int], see: Callable[[Ledger], T]
) -> list[T]:
    found = []
    for end in ends:
        while following.read < end and following.turn_page(records, now, min(PAGE, end - following.read)):
            pass
        found.append(see(following.ledger))
    return found
