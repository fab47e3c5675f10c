"""The private folder in which the processes of one server find each other."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from modelserve._kit.locks import Lock, LockHeld

PREFIX = "modelserve-workers-"
STALE = 60.0
"""Seconds of age from which a folder that nobody holds is somebody's who was killed."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The parent's private folder, in which its processes find each other."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "settings.json"

    @property
    def calls(self) -> Path:
        """The engine's socket for calls."""
        return self.path / "calls"

    @property
    def http(self) -> Path:
        """The engine's socket for everything else."""
        return self.path / "http"


@dataclass(slots=True)
class HeldFolder:
    """A new folder that is this process's as long as it lives; those of the dead are removed first."""

    folder: Folder = field(init=False)
    _lock: Lock = field(init=False)

    def __post_init__(self) -> None:
        sweep(Path(tempfile.gettempdir()))
        self.folder = Folder(Path(tempfile.mkdtemp(prefix=PREFIX)))
        self._lock = _lock_of(self.folder.path).acquire()

    def remove(self) -> None:
        shutil.rmtree(self.folder.path, ignore_errors=True)
        self._lock.release()


def sweep(root: Path) -> None:
    """Remove the folders in ``root`` whose holders were killed."""
    for path in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, LockHeld):
            if time.time() - path.stat().st_mtime > STALE:
                with _lock_of(path):
                    shutil.rmtree(path, ignore_errors=True)


def _lock_of(path: Path) -> Lock:
    return Lock(path / "lock")
