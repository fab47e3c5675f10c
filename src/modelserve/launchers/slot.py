"""One replica: its folder, the process in it, and the care that is taken of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError

from modelserve.domain.workloads import Replica, ReplicaPhase
from modelserve.launchers.child import Child, describe_exit, runs
from modelserve.launchers.folder import Announcement, Folder, Record, digest_of
from modelserve.launchers.supervision import Supervision

UNFIT = 3
"""Exit code of a model server whose package can't be served; starting it again can't help."""
HEALTH_TIMEOUT = 1.0
"""Seconds for one health check."""


@dataclass(slots=True)
class Slot:
    """Times are readings of ``clock``, in seconds."""

    workload: str
    index: int
    folder: Folder
    digest: str
    config: Mapping[str, object]
    """Empty for a replica that an earlier launcher started, until it is named again."""
    child: Child | None = None
    announce: str = ""
    announced: Announcement | None = None
    care: Supervision = field(default_factory=Supervision)
    probe: asyncio.Task[None] | None = None

    @classmethod
    def fresh(cls, workload: str, index: int, folder: Folder, config: Mapping[str, object]) -> Slot:
        return cls(workload, index, folder, digest_of(config), config)

    @classmethod
    def adopt(cls, workload: str, index: int, folder: Folder) -> Slot | None:
        """The replica that an earlier launcher left running in ``folder``, if one does."""
        record = folder.read_record()
        if record is None or not runs(record.process, folder.settings):
            return None
        slot = cls(workload, index, folder, record.digest, {}, Child(record.process), record.announce)
        slot.care.starts = record.starts
        return slot

    def look(self, now: float, command: Sequence[str]) -> None:
        """See whether the process ended; start it again when it is time. It touches files: use a thread."""
        if self.child is not None and self.child.is_gone(patience=1.0):
            self._note_exit(now, self.child)
        elif self.child is not None and self.care.stuck(now):
            self.child.kill()
        elif self.child is None and self.config and self.care.may_start(now):
            self.start(now, command)
        if self.child is not None:  # its epoch may be another one by now
            self.announced = self.folder.read_announcement(self.announce) or self.announced

    def start(self, now: float, command: Sequence[str]) -> None:
        """Start the model server. What goes wrong is the replica's fate: it counts as an exit."""
        try:
            settings = self.folder.write_settings(self.config)
            assert settings.announce is not None  # noqa: S101 - write_settings puts one in
            with self.folder.open_log() as log:
                child = Child.start(
                    [*command, "--settings", str(self.folder.settings)], log, self.folder.path
                )
        except ValidationError as error:
            self.care.exited(now, f"the model server's settings are wrong: {_first(error)}", hopeless=True)
            return
        except OSError as error:
            self.care.exited(now, f"the model server can't be started: {error}")
            return
        self.child, self.announced, self.announce = child, None, settings.announce.name
        self.care.started()
        self._write_record(child)

    async def check(self, client: httpx.AsyncClient, clock: Callable[[], float]) -> None:
        """Ask for readiness once and note the answer, unless the process has changed meanwhile."""
        child, announced = self.child, self.announced
        if child is None or announced is None or not announced.port:
            return
        silent = False
        try:
            url = f"http://127.0.0.1:{announced.port}/v2/health/ready"
            response = await client.get(url, timeout=HEALTH_TIMEOUT)
            why = "" if response.status_code == 200 else f"readiness says {response.status_code}"
        except httpx.HTTPError as error:
            why, silent = f"does not answer ({type(error).__name__})", True
        if self.child is not child:
            return
        if why:
            self.care.missed(clock(), why, silent=silent)
        else:
            self.care.answered(clock())

    def release(self) -> Child | None:
        """Give the process away, to be stopped; nothing here speaks of it any longer."""
        child, self.child = self.child, None
        if self.probe is not None:
            self.probe.cancel()
        return child

    def replica(self) -> Replica:
        told = self.announced or Announcement()
        return Replica(
            workload=self.workload,
            index=self.index,
            phase=self.phase,
            port=told.port if self.child else 0,
            grpc_port=told.grpc_port if self.child else 0,
            pid=self.child.pid if self.child else 0,
            epoch=told.epoch if self.child else "",
            restarts=max(0, self.care.starts - 1),
            reason=self.care.reason,
            remarks=told.remarks if self.child else (),
        )

    @property
    def phase(self) -> ReplicaPhase:
        return self.care.phase(alive=self.child is not None)

    def _note_exit(self, now: float, child: Child) -> None:
        told = self.folder.read_announcement(self.announce) or Announcement()
        unfit = child.exit_code == UNFIT or bool(told.error)
        words = told.error or self.folder.last_words()
        how = "the package can't be served" if unfit else describe_exit(child.exit_code)
        if self.care.silent_since is not None and self.care.stuck(now):
            how = "did not answer and was killed"
        self.care.exited(now, f"{how}: {words}" if words else how, hopeless=unfit)
        self.child, self.announced = None, None

    def _write_record(self, child: Child) -> None:
        """Without it a later launcher still finds the process by its command line, but can't keep it."""
        record = Record(child.identity, self.digest, self.announce, self.care.starts)
        with contextlib.suppress(OSError):
            self.folder.write_record(record)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
