"""A router without a proxy: it remembers what it was handed. For tests and rehearsals."""

from __future__ import annotations

from modelserve.domain.routes import RouteTable
from modelserve.errors import Unavailable


class MemoryRouter:
    """``applied`` has every table in the order it came; the last is in force unless ``held`` is set.

    ``down`` makes every call raise Unavailable.
    """

    def __init__(self) -> None:
        self.applied: list[RouteTable] = []
        self.held = False
        self.down = False
        self._in_force: RouteTable | None = None

    @property
    def table(self) -> RouteTable | None:
        """What traffic is routed by; None before the first table."""
        return self._in_force

    async def start(self) -> None:
        self._reach()

    async def ensure(self) -> None:
        self._reach()

    async def stop(self) -> None:
        """Its table stays, as a proxy's files do."""

    async def apply(self, table: RouteTable) -> None:
        self._reach()
        self.applied.append(table)
        if not self.held:
            self._in_force = table

    async def in_force(self, table: RouteTable) -> bool:
        self._reach()
        return self._in_force == table

    def release(self) -> None:
        """Put the last table in force after all, and those that come."""
        self.held = False
        if self.applied:
            self._in_force = self.applied[-1]

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the router is down")
