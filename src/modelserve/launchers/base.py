"""Port: launchers, one adapter per place where model servers run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from modelserve.domain.workloads import Replica, Workload


class Launcher(Protocol):
    async def apply(self, workloads: Sequence[Workload]) -> None:
        """Make exactly these workloads run: start what is missing, drain and stop what is not named.

        Returns without waiting for readiness. Safe to repeat: what runs already is left alone, also when an
        earlier controller started it.
        """

    async def replicas(self) -> tuple[Replica, ...]:
        """What runs now; restarts what crashed, with back-off, as it finds it."""

    async def stop(self) -> None:
        """Stop everything that this launcher or an earlier one started; returns when it is gone."""
