"""Router: Envoy on this machine, which reads the rendered table from two files that it watches.

A table is put in force in three moves, so that no request ever meets a route without its cluster: the new
clusters beside the old ones, then the routes, and after ``linger`` seconds without the clusters that no route
names any more (a request that is still being retried may need one until then).

A file's version is what Envoy's main thread tells once it has queued the content for every worker thread. A
worker takes what is queued before it reads from any socket that became readable afterwards. So a request that
is sent once the version is told is routed by it, and only what a worker was reading just then may still go by
the table before.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from modelserve._kit.files import cut_log, write_atomically
from modelserve._kit.unix_http import UnixHttp
from modelserve._kit.waiting import wait_until
from modelserve.domain.routes import RouteTable
from modelserve.errors import Unavailable
from modelserve.routers.envoy_process import EnvoyProcess
from modelserve.routing.envoy import CLUSTERS_FILE, ROUTES, ROUTES_FILE, Discovery, Door, render

_SWITCH = 10.0
"""Seconds within which a file must be in force; new clusters wait for the first health check of each host."""
_LONGEST_SOCKET = 100
"""Bytes of a Unix socket's path; the kernel takes 107."""
_STATUS = (
    "/stats?filter=^(cluster_manager\\.(cds\\.(version_text|update_rejected)|warming_clusters)"
    f"|http\\.door\\.rds\\.{ROUTES}\\.(version_text|update_rejected))$"
)
_CDS, _RDS = "cluster_manager.cds", f"http.door.rds.{ROUTES}"


@dataclass(frozen=True, slots=True)
class _Status:
    """What Envoy says it routes by."""

    clusters: str
    routes: str
    rejected: int
    warming: int

    def has(self, file: str, version: str) -> bool:
        if file == ROUTES_FILE:
            return self.routes == version
        return self.clusters == version and not self.warming


class EnvoyRouter:
    """The front door of one platform. Everything it writes lies in ``folder``."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        workers: int = 2,
        linger: float = 30.0,
        patience: float = 5.0,
        log_limit: int = 64 * 1024 * 1024,
    ) -> None:
        """``workers``: threads of Envoy. ``linger``: seconds that clusters stay after their last route.
        ``patience``: seconds without a sign of life after which a process that exists counts as stuck.
        ``log_limit``: bytes of a log at which it is set aside as ``access.log.1``, ``exposures.log.1`` or
        ``envoy.log.1``.
        """
        self.folder = folder.absolute()
        self.port = port
        self.access_log = self.folder / "access.log"
        self.exposure_log = self.folder / "exposures.log"
        self._tables = self.folder / "tables"
        self._linger = linger
        self._patience = patience
        self._log_limit = log_limit
        logs = str(self.access_log), str(self.exposure_log)
        door = Door(host, port, str(_socket(self.folder)), str(self._tables), *logs)
        self._process = EnvoyProcess(self.folder, door, workers)
        self._lock = asyncio.Lock()
        self._rejected_before = 0
        self._silent_since: float | None = None
        self._retire: tuple[float, Discovery] | None = None
        self._reopening: set[Path] = set()

    @property
    def admin(self) -> UnixHttp:
        """Envoy's administration interface."""
        return self._process.admin

    @property
    def pid(self) -> int | None:
        """The Envoy process, or None while there is none."""
        identity = self._process.running()
        return identity.pid if identity else None

    async def start(self) -> None:
        """Take over the Envoy of an earlier controller, or start one with the last tables.

        Raises Unavailable, among others for a port that is taken, naming who has it.
        """
        async with self._lock:
            await self._start()

    async def ensure(self) -> None:
        """See the port: Envoy that died or got stuck is replaced at once."""
        async with self._lock:
            if self._process.running() is None:
                await self._start()
            elif await self._is_stuck():
                await self._process.stop(at_once=True)
                await self._start()
            else:
                await self._tidy()

    async def stop(self) -> None:
        """End Envoy; returns when it is gone. Its files stay for the next start."""
        async with self._lock:
            await self._process.stop()

    async def apply(self, table: RouteTable) -> None:
        """See the port. While no Envoy runs, the table waits in the files for the next one."""
        rendering = render(table)
        async with self._lock:
            try:
                clusters = rendering.clusters.over(self._written(CLUSTERS_FILE))
                if self._process.running() is None:
                    self._write(CLUSTERS_FILE, clusters)
                    self._write(ROUTES_FILE, rendering.routes)
                else:
                    await self._switch(CLUSTERS_FILE, clusters)
                    await self._switch(ROUTES_FILE, rendering.routes)
            except OSError as error:
                raise Unavailable(f"the route table can't be written to {self._tables}: {error}") from error
            if self._retire is None or self._retire[1] != rendering.clusters:
                self._retire = (time.monotonic() + self._linger, rendering.clusters)

    async def in_force(self, table: RouteTable) -> bool:
        """See the port. Raises Unavailable with Envoy's own words if it refused what it was handed."""
        rendering = render(table)
        status = await self._status()
        held = self._written(CLUSTERS_FILE)
        in_force = status.has(CLUSTERS_FILE, held.version) and status.has(
            ROUTES_FILE, rendering.routes.version
        )
        if not in_force and status.rejected > self._rejected_before:
            raise Unavailable(f"Envoy refused the route table: {self._refusal(0)}")
        return in_force and held.covers(rendering.clusters)

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in (CLUSTERS_FILE, ROUTES_FILE):
            if not (self._tables / file).exists():
                rendering = render(RouteTable())
                self._write(file, rendering.clusters if file == CLUSTERS_FILE else rendering.routes)
        started = await self._process.start()
        self._rejected_before = 0 if started else (await self._status()).rejected
        self._silent_since = None

    async def _is_stuck(self) -> bool:
        if await self._process.is_responsive():
            self._silent_since = None
            return False
        now = time.monotonic()
        self._silent_since = now if self._silent_since is None else self._silent_since
        return now - self._silent_since >= self._patience

    async def _tidy(self) -> None:
        """What can wait: clusters that no route names, logs that grew long."""
        if self._retire is not None and time.monotonic() >= self._retire[0]:
            await self._switch(CLUSTERS_FILE, self._retire[1])
            self._retire = None
        with contextlib.suppress(OSError):
            await asyncio.to_thread(cut_log, self._process.log, self._log_limit)
        for log in (self.access_log, self.exposure_log):
            with contextlib.suppress(OSError):
                await self._bound(log)

    async def _bound(self, log: Path) -> None:
        """Envoy writes on into a log that was set aside until it is told to open it again, which it does with
        the next line. It is told once, also if an earlier controller died before it could."""
        if self._is_there(log):
            self._reopening.discard(log)
        elif log not in self._reopening:
            await self.admin.post("/reopen_logs")
            self._reopening.add(log)

    def _is_there(self, log: Path) -> bool:
        """Whether Envoy has a log open that did not grow long; one that did is set aside."""
        if log.exists() and log.stat().st_size > self._log_limit:
            log.replace(log.with_suffix(".log.1"))
        return log.exists()

    async def _switch(self, file: str, discovery: Discovery) -> None:
        """Write one file and wait until Envoy routes by it; what it refuses is taken back."""
        before = await self._status()
        if before.has(file, discovery.version) and self._written(file) == discovery:
            return
        self._rejected_before = before.rejected
        earlier, position = self._written(file), self._log_size()
        self._write(file, discovery)

        async def settled() -> bool:
            status = await self._status()
            return status.has(file, discovery.version) or status.rejected > before.rejected

        with contextlib.suppress(TimeoutError):
            await wait_until(settled, _SWITCH, f"{file} is in force", interval=0.005)
        status = await self._status()
        if status.has(file, discovery.version):
            return
        if status.rejected > before.rejected:
            self._write(file, earlier)
            raise Unavailable(f"Envoy refused {file}: {self._refusal(position)}")
        raise Unavailable(f"Envoy has not taken over {file} within {_SWITCH:g} s")

    async def _status(self) -> _Status:
        try:
            lines = (await self.admin.get(_STATUS)).splitlines()
        except ConnectionError as error:
            raise Unavailable(f"Envoy can't be asked: {error}") from error
        said = dict(line.split(": ", 1) for line in lines if ": " in line)
        return _Status(
            clusters=said.get(f"{_CDS}.version_text", "").strip('"'),
            routes=said.get(f"{_RDS}.version_text", "").strip('"'),
            rejected=int(said.get(f"{_CDS}.update_rejected", 0))
            + int(said.get(f"{_RDS}.update_rejected", 0)),
            warming=int(said.get("cluster_manager.warming_clusters", 0)),
        )

    def _written(self, file: str) -> Discovery:
        try:
            return Discovery.parse((self._tables / file).read_text())
        except (FileNotFoundError, ValueError):
            return Discovery(())

    def _write(self, file: str, discovery: Discovery) -> None:
        write_atomically(self._tables / file, discovery.text)

    def _log_size(self) -> int:
        return self._process.log.stat().st_size if self._process.log.exists() else 0

    def _refusal(self, position: int) -> str:
        """Envoy's reason for the last refusal after ``position`` bytes of its log."""
        with self._process.log.open("rb") as log:
            log.seek(position)
            lines = log.read().decode(errors="replace").splitlines()
        reasons = [line.split("update rejected: ", 1)[1] for line in lines if "update rejected: " in line]
        return reasons[-1] if reasons else "no reason in its log"


def _socket(folder: Path) -> Path:
    """In ``folder``, or, where that path is too long for a socket, under a short name for temporary files."""
    path = folder / "admin.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"modelserve-{os.getuid()}-{digest}.sock"
