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
        """Whether the proxy routes by exactly this table whatever arrives from now on.

        A request that it had begun to read is routed by this table or the one before, and may be answered
        later still: servers that a table no longer names go on answering for a while after they are told to
        end. Raises Unavailable if the proxy can't be asked.
        """
