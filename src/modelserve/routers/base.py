"""Port: routers, one adapter per proxy that can put a route table in force."""

from __future__ import annotations

from typing import Protocol

from modelserve.domain.routes import RouteTable


class Router(Protocol):
    async def start(self) -> None:
        """Take over a proxy that an earlier controller left running, or start one. Raises Unavailable."""

    async def ensure(self) -> None:
        """Bring the proxy back, with its last table, if it is gone. Called often."""

    async def stop(self) -> None:
        """End the proxy; returns when it is gone."""

    async def apply(self, table: RouteTable) -> None:
        """Hand the table over; returns before it is in force. Safe to repeat. Raises Unavailable."""

    async def in_force(self, table: RouteTable) -> bool:
        """Whether the proxy now routes by exactly this table. Raises Unavailable if it can't be asked."""
