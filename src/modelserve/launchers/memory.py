"""Model servers that are not there: a launcher for tests, whose replicas are in the phase they are put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelserve.domain.workloads import Replica, ReplicaPhase, Workload
from modelserve.errors import Unavailable

_FIRST_PORT = 20_000


@dataclass(slots=True)
class _Fate:
    phase: ReplicaPhase
    reason: str = ""


class MemoryLauncher:
    """Keeps to the port; ``phase`` is what a replica is in before :meth:`put` says otherwise."""

    def __init__(self, phase: ReplicaPhase = ReplicaPhase.READY) -> None:
        self.applied: list[tuple[Workload, ...]] = []
        """Everything that was applied, oldest first."""
        self.out_of_reach = False
        """While true, every call raises Unavailable."""
        self._phase = phase
        self._fates: dict[str, _Fate] = {}
        self._running: dict[tuple[str, int], tuple[Workload, Replica]] = {}
        self._started = 0

    async def apply(self, workloads: Sequence[Workload]) -> None:
        self._require_reach()
        self.applied.append(tuple(workloads))
        wanted = {(w.name, index): w for w in workloads for index in range(w.replicas)}
        for key in [key for key in self._running if key not in wanted]:
            del self._running[key]
        for key, workload in wanted.items():
            running = self._running.get(key)
            if running is None or running[0].config != workload.config:
                self._running[key] = (workload, self._start(*key))

    async def replicas(self) -> tuple[Replica, ...]:
        self._require_reach()
        return tuple(self._seen(self._running[key][1]) for key in sorted(self._running))

    async def stop(self) -> None:
        self._require_reach()
        self._running.clear()

    def put(self, workload: str, phase: ReplicaPhase, reason: str = "") -> None:
        """All replicas of this workload are in ``phase`` from now on, also those to come."""
        self._fates[workload] = _Fate(phase, reason)

    def restart(self, workload: str) -> None:
        """Replace the processes of this workload: new numbers, ports and epochs, one restart more."""
        for key, (spec, replica) in self._running.items():
            if key[0] == workload:
                fresh = replace(self._start(*key), restarts=replica.restarts + 1)
                self._running[key] = (spec, fresh)

    def _start(self, workload: str, index: int) -> Replica:
        self._started += 1
        number = self._started
        return Replica(
            workload=workload,
            index=index,
            phase=self._phase,
            port=_FIRST_PORT + number,
            pid=number,
            epoch=f"epoch-{number}",
        )

    def _seen(self, replica: Replica) -> Replica:
        fate = self._fates.get(replica.workload, _Fate(self._phase))
        return replace(replica, phase=fate.phase, reason=fate.reason)

    def _require_reach(self) -> None:
        if self.out_of_reach:
            raise Unavailable("the launcher is out of reach")
