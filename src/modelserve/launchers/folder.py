"""The folder of one replica: what its model server is told, who it is, and what it said last.

::

    <directory>/<workload>/<index>/settings.json        what the server reads when it starts
                                   announce-<run>.json  what it says once it listens; one file for each run
                                   process.json         who it is, for a launcher that comes later
                                   leaving-<pid>        was told to stop and may still finish requests
                                   server.log(.1)       what it wrote
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from modelserve._kit.files import write_atomically
from modelserve._kit.processes import Identity
from modelserve.settings import ServerSettings

LOG_BYTES = 10 * 1024 * 1024
"""A log that is larger when a server starts is put aside, and the one put aside before is dropped."""

_TAIL = 4096
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Record:
    """Who runs in a folder, and by what configuration."""

    process: Identity
    digest: str
    announce: str
    """Name of the file that this run announces itself in."""
    starts: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a model server says of itself; ``error`` is set when its package is unfit, ``remarks`` once it is
    loaded, to what its owner should know."""

    pid: int = 0
    port: int = 0
    grpc_port: int = 0
    epoch: str = ""
    error: str = ""
    remarks: tuple[str, ...] = ()


_RECORD = TypeAdapter(Record)
_ANNOUNCEMENT = TypeAdapter(Announcement)


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "settings.json"

    @property
    def record(self) -> Path:
        return self.path / "process.json"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    def write_settings(self, config: Mapping[str, object]) -> ServerSettings:
        """Write what one run is told, with an announce file of its own.

        Raises OSError, and pydantic.ValidationError for a config that is none.
        """
        for old in self.path.glob("announce-*.json"):
            _remove(old)
        announce = self.path / f"announce-{uuid.uuid4().hex}.json"
        own = {"host": "127.0.0.1", "port": 0, "announce": announce}
        settings = ServerSettings.model_validate({**config, **own})
        write_atomically(self.settings, settings.model_dump_json(indent=2))
        return settings

    def write_record(self, record: Record) -> None:
        write_atomically(self.record, _RECORD.dump_json(record))

    def read_record(self) -> Record | None:
        """None where there is none that can be understood."""
        try:
            return _RECORD.validate_json(self.record.read_bytes())
        except (OSError, ValidationError):
            return None

    def read_announcement(self, name: str) -> Announcement | None:
        try:
            return _ANNOUNCEMENT.validate_json((self.path / name).read_bytes())
        except (OSError, ValidationError):
            return None

    def read_drain(self) -> float:
        """Seconds that the server gives its requests when it is told to stop."""
        try:
            return float(json.loads(self.settings.read_bytes())["drain"])
        except (OSError, ValueError, KeyError, TypeError):
            return float(ServerSettings.model_fields["drain"].default)

    def mark_leaving(self, process: Identity) -> None:
        """Remember that this process was told to stop, so that nobody hurries it by telling it again."""
        with contextlib.suppress(OSError):
            self._leaving(process).write_text(str(process.started))

    def is_leaving(self, process: Identity) -> bool:
        try:
            return self._leaving(process).read_text() == str(process.started)
        except OSError:
            return False

    def forget_leaving(self, process: Identity) -> None:
        _remove(self._leaving(process))

    def forget_record(self) -> None:
        _remove(self.record)

    def _leaving(self, process: Identity) -> Path:
        return self.path / f"leaving-{process.pid}"

    def open_log(self) -> BinaryIO:
        """To append to. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def last_words(self) -> str:
        """The last line of the log that says something, cut to a readable length."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.strip()[:_SHOWN] for line in reversed(lines) if line.strip()), "")

    def clear(self) -> None:
        """Remove everything that tells of a running server; the logs stay for people."""
        for path in (self.record, self.settings, *self.path.glob("announce-*"), *self.path.glob("leaving-*")):
            _remove(path)


def _remove(path: Path) -> None:
    """A file that stays says nothing wrong: process numbers are told apart by their start time."""
    with contextlib.suppress(OSError):
        path.unlink()


def folders(directory: Path) -> dict[tuple[str, int], Folder]:
    """Every replica that has ever had a folder here, by workload and index."""
    found: dict[tuple[str, int], Folder] = {}
    for path in directory.glob("*/*"):
        if path.name.isdecimal() and path.is_dir():
            found[path.parent.name, int(path.name)] = Folder(path)
    return found


def digest_of(config: Mapping[str, Any]) -> str:
    """Equal for equal configs."""

    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
