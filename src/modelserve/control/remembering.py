"""Predictions of live requests, from the model servers' memory into the records, so that labels find them.

A server keeps the newest for a minute or more; they are read every second. A controller that starts reads all
that is still there: what is in the records already is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from modelserve.control.book import Service
from modelserve.control.labels import LabelDesk
from modelserve.control.platform import Platform
from modelserve.domain.labels import UNTOLD, Prediction, ShadowPrediction
from modelserve.domain.workloads import Replica
from modelserve.errors import ModelServeError
from modelserve.rollout import candidate_weight
from modelserve.routing.table import revisions

PAGE = 1000
"""Predictions in one answer of a server."""
PAGES = 20
"""Pages in one reading: what a server has more is read in the next."""
SHADOW = "shadow"
"""The arm of copies."""
SETTLING = 1.0
"""Seconds after a change of weights in which some requests may still have gone by the weights before."""

log = logging.getLogger("modelserve.control")


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where one server's predictions were read."""

    epoch: str = ""
    next: int = 0


@dataclass(slots=True)
class Weights:
    """The candidate's share of one service's live traffic, and since when; and the one before."""

    now: float
    since: float
    before: float

    def at(self, moment: float) -> float:
        """``UNTOLD`` within a change."""
        if moment < self.since:
            return self.before
        return self.now if moment >= self.since + SETTLING or self.now == self.before else UNTOLD


class Rememberer:
    """Reads ``GET /internal/predictions`` of every server whose service has a guardrail of labels."""

    def __init__(self, platform: Platform, client: httpx.AsyncClient) -> None:
        self._platform, self._client = platform, client
        self._positions: dict[str, Position] = {}
        self._weights: dict[str, Weights] = {}

    async def __call__(self) -> None:
        """One reading of all servers. What can't be read or written is tried again at the next."""
        guarded = [service for service in self._platform.book.services() if is_guarded(service)]
        await asyncio.gather(*(self._of_service(service) for service in guarded))

    async def _of_service(self, service: Service) -> None:
        weights = self._noted(service)
        wanted = revisions(service.traffic())
        mine = [r for r in self._platform.replicas if r.workload in wanted and r.port]
        await asyncio.gather(*(self._of_replica(service, weights, replica) for replica in mine))

    def _noted(self, service: Service) -> Weights:
        rollout = service.active
        weight = candidate_weight(service.policy, rollout) if rollout else 0.0
        known = self._weights.get(service.name)
        if known is None:
            known = self._weights[service.name] = Weights(weight, 0.0, weight)
        elif known.now != weight:
            since = rollout.entered if rollout else self._platform.now()
            known = self._weights[service.name] = Weights(weight, since, known.now)
        return known

    async def _of_replica(self, service: Service, weights: Weights, replica: Replica) -> None:
        key = f"{replica.workload}/{replica.index}"
        for _ in range(PAGES):
            position = self._positions.get(key, Position())
            try:
                page = await self._page(replica, position)
                await self._take(service, weights, replica, page["predictions"])
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                return  # it is down or no server of ours; the next reading makes up for it
            except ModelServeError as error:
                log.warning("predictions of %s wait: %s", service.name, error.message)
                return
            self._count_missed(self._platform.labels, service.name, position, page)
            self._positions[key] = Position(page["epoch"], page["next"])
            if len(page["predictions"]) < PAGE:
                return

    async def _take(
        self, service: Service, weights: Weights, replica: Replica, told: Sequence[Mapping[str, Any]]
    ) -> None:
        """Of copies only what the candidate answered: stable's second answers measure its noise alone."""
        live = [_prediction(replica, weights, each) for each in told if each["arm"] != SHADOW]
        await self._platform.labels.remember(service.name, live)
        if service.active is not None and replica.workload == service.active.candidate:
            copies = [_copy(replica, each) for each in told if each["arm"] == SHADOW]
            await self._platform.labels.remember_copies(service.name, copies)

    async def _page(self, replica: Replica, position: Position) -> dict[str, Any]:
        """What a server made after a position; all that it has, if it is another process than then."""
        page = await self._ask(replica, position.next)
        if position.epoch and page["epoch"] != position.epoch and position.next:
            page = await self._ask(replica, 0)
        return page

    async def _ask(self, replica: Replica, after: int) -> dict[str, Any]:
        url = f"http://{replica.address}/internal/predictions"
        reply = await self._client.get(url, params={"after": after, "limit": PAGE})
        page: dict[str, Any] = reply.raise_for_status().json()
        # Another server may have got the port of one that is gone.
        return page if page["revision"] == replica.workload else {**page, "predictions": []}

    @staticmethod
    def _count_missed(desk: LabelDesk, service: str, position: Position, page: Mapping[str, Any]) -> None:
        after = position.next if position.epoch == page["epoch"] else 0
        if position.epoch and (lost := page["oldest"] - after - 1) > 0:
            desk.missed[service] += lost


def is_guarded(service: Service) -> bool:
    """Whether labels decide about this service's rollouts."""
    return any(guard.metric.of_labels for guard in service.policy.judge.guardrails)


def _prediction(replica: Replica, weights: Weights, told: Mapping[str, Any]) -> Prediction:
    return Prediction(
        told["id"],
        replica.workload,
        told["arm"],
        told["at"],
        weights.at(told["at"]),
        told["predicted"],
        told["parts"],
    )


def _copy(replica: Replica, told: Mapping[str, Any]) -> ShadowPrediction:
    return ShadowPrediction(told["id"], replica.workload, told["at"], told["predicted"])
