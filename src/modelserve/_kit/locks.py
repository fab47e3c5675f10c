"""A lock that lives as long as the process that holds it, and says who that is."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType

PATIENCE = 0.5
"""Seconds in which a holder tells its name, on a busy machine too."""


class LockHeld(Exception):
    """Somebody else has the lock. ``pid`` is None if the holder has not written its name yet."""

    def __init__(self, path: Path, pid: int | None, since: float | None) -> None:
        super().__init__(f"{path} is held by process {pid if pid is not None else 'unknown'}")
        self.path = path
        self.pid = pid
        self.since = since  # Unix seconds


class Lock:
    """An flock on ``path``: the kernel lets go of it when the holder dies, however it dies.

    The file holds ``{"pid", "since"}`` of the last holder and is never removed, so that no two processes can
    hold locks on two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> Lock:
        """Take the lock or raise LockHeld, at once but for a holder that has not told its name yet; OSError
        if the file can't be made. Harmless when held."""
        if self._descriptor is None:
            self._descriptor = self._take()
        return self

    def _take(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = json.dumps({"pid": os.getpid(), "since": time.time()}).encode()
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
        except BlockingIOError:
            pid, since = _holder_once_told(descriptor)
            os.close(descriptor)
            raise LockHeld(self.path, pid, since) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def release(self) -> None:
        """Let go, also where a child that is being started has a copy; harmless when not held."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Lock:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder_once_told(descriptor: int) -> tuple[int | None, float | None]:
    """Waits for one that was taking the lock at the same moment, and says who it is a moment later."""
    until = time.monotonic() + PATIENCE
    while (found := _holder(descriptor)) == (None, None) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def _holder(descriptor: int) -> tuple[int | None, float | None]:
    try:
        told = json.loads(os.pread(descriptor, 4096, 0))
        return int(told["pid"]), float(told["since"])
    except (ValueError, KeyError, TypeError):
        return None, None
