"""Model servers as processes of this machine.

Servers outlive the launcher: one that comes later on the same directory takes over what runs, by the
process' number and start time. So the controller may crash and come back without a client noticing.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import httpx

from modelserve.domain.workloads import Replica, Workload
from modelserve.launchers.child import Child, strays
from modelserve.launchers.folder import Folder, digest_of, folders
from modelserve.launchers.slot import Slot

SERVER = (sys.executable, "-m", "modelserve.serving")
LOOK = 0.25
"""Seconds that one look waits for health checks; a slower answer counts when it comes."""
GRACE = 5.0
"""Seconds beyond its own drain that a server has to stop, before it is killed."""

_POLL = 0.02
_Key = tuple[str, int]


class ProcessLauncher:
    """One process per replica, in ``directory/<workload>/<index>/``.

    A workload's ``config`` holds the fields of :class:`modelserve.settings.ServerSettings` except ``host``,
    ``port`` and ``announce``, which are filled in here (``service`` and ``revision`` too, where they lack).
    A server that can't be started is a crashed replica with its reason, not an error of ``apply``.
    """

    def __init__(
        self,
        directory: Path,
        command: Sequence[str] = SERVER,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory.resolve()
        self._command = tuple(command)
        self._clock = clock
        self._lock = asyncio.Lock()
        self._slots: dict[_Key, Slot] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
        self._looked_around = False

    async def apply(self, workloads: Sequence[Workload]) -> None:
        async with self._lock:
            await self._take_over()
            wanted = {(w.name, index): w for w in workloads for index in range(w.replicas)}
            for key in [key for key in self._slots if key not in wanted]:
                self._retire(self._slots.pop(key))
            for key, workload in wanted.items():
                self._want(key, _config(workload))
            await self._look()

    async def replicas(self) -> tuple[Replica, ...]:
        async with self._lock:
            await self._take_over()
            await self._look()
            await self._check()
            return tuple(self._slots[key].replica() for key in sorted(self._slots))

    async def stop(self) -> None:
        async with self._lock:
            await self._take_over()
            for slot in self._slots.values():
                self._retire(slot)
            self._slots.clear()
            await asyncio.gather(*self._leaving)
            for folder in folders(self._directory).values():
                folder.clear()
            await self._hang_up()

    async def detach(self) -> None:
        """Let go without stopping anything; a later launcher on this directory takes over."""
        async with self._lock:
            for task in self._leaving:
                task.cancel()
            for slot in self._slots.values():
                slot.release()
            self._slots.clear()
            await self._hang_up()

    async def _take_over(self) -> None:
        """Once: find what earlier launchers left. What can't be kept is told to stop."""
        if self._looked_around:
            return
        adopted, lost = await asyncio.to_thread(self._look_around)
        self._slots |= adopted
        for child, folder in lost:
            self._let_go(child, folder)
        self._looked_around = True

    def _look_around(self) -> tuple[dict[_Key, Slot], list[tuple[Child, Folder]]]:
        found = ((key, Slot.adopt(*key, folder)) for key, folder in folders(self._directory).items())
        adopted = {key: slot for key, slot in found if slot is not None}
        known = frozenset(slot.child.pid for slot in adopted.values() if slot.child)
        lost = strays(self._directory, known)
        return adopted, [(child, Folder(settings.parent)) for child, settings in lost]

    def _want(self, key: _Key, config: dict[str, object]) -> None:
        """Have a slot for this replica, in this configuration."""
        slot = self._slots.get(key)
        if slot is not None and slot.digest == digest_of(config):
            slot.config = config
            return
        if slot is not None:
            self._retire(slot)
        name, index = key
        folder = Folder(self._directory / name / str(index))
        self._slots[key] = Slot.fresh(name, index, folder, config)

    async def _look(self) -> None:
        await asyncio.to_thread(_look_at, tuple(self._slots.values()), self._clock(), self._command)

    async def _check(self) -> None:
        """Ask every replica at the same time; none that is slow holds up the others' answers."""
        client = self._client = self._client or _client()
        for slot in self._slots.values():
            if slot.probe is None or slot.probe.done():
                slot.probe = asyncio.create_task(slot.check(client, self._clock))
        probes = [slot.probe for slot in self._slots.values() if slot.probe]
        if probes:
            await asyncio.wait(probes, timeout=LOOK)

    def _retire(self, slot: Slot) -> None:
        child = slot.release()
        slot.folder.forget_record()
        if child is not None:
            self._let_go(child, slot.folder)

    def _let_go(self, child: Child, folder: Folder) -> None:
        task = asyncio.create_task(_end(child, folder, folder.read_drain() + GRACE))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _hang_up(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _client() -> httpx.AsyncClient:
    """For plain HTTP on this machine: no proxy, and no certificates, which take long to load."""
    return httpx.AsyncClient(trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _config(workload: Workload) -> dict[str, object]:
    return {"service": workload.service, "revision": workload.revision, **workload.config}


def _look_at(slots: Iterable[Slot], now: float, command: Sequence[str]) -> None:
    for slot in slots:
        slot.look(now, command)


async def _end(child: Child, folder: Folder, bound: float) -> None:
    """Ask the process to finish, once; wait ``bound`` seconds, then kill it. Returns when it is gone."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + bound
    if not folder.is_leaving(child.identity):
        folder.mark_leaving(child.identity)
        child.terminate()
    while not child.is_gone():
        if clock() >= deadline:
            child.kill()
        await asyncio.sleep(_POLL)
    folder.forget_leaving(child.identity)
