"""Free lanes, from whichever process has one."""

from __future__ import annotations

import threading
import time
from collections import deque

from modelserve.errors import Unavailable
from modelserve.runtimes.isolated.lane import Lane
from modelserve.runtimes.isolated.process import EngineProcess

PATIENCE = 2.0
"""Seconds that a batch waits for a process that is being replaced before it is turned away."""


class Pool:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._free: deque[tuple[EngineProcess, Lane]] = deque()
        self._members: set[EngineProcess] = set()
        self._reason = "the engine is being started"

    @property
    def members(self) -> int:
        """Processes that take batches now."""
        return len(self._members)

    def add(self, process: EngineProcess) -> None:
        with self._changed:
            self._members.add(process)
            self._free.extend((process, lane) for lane in process.open_lanes)
            self._changed.notify_all()

    def remove(self, process: EngineProcess, reason: str) -> None:
        """Give it no more batches; ``reason`` is told to who waits in vain. Safe to repeat."""
        with self._changed:
            self._members.discard(process)
            self._free = deque(pair for pair in self._free if pair[0] is not process)
            self._reason = reason
            self._changed.notify_all()

    def take(self) -> tuple[EngineProcess, Lane]:
        """Wait for a free lane. Raises Unavailable if no process comes back within :data:`PATIENCE`."""
        until: float | None = None
        with self._changed:
            while not self._free:
                now = time.monotonic()
                until = None if self._members else until or now + PATIENCE
                if until is not None and now >= until:
                    raise Unavailable(self._reason, retry_after=1.0)
                self._changed.wait(None if until is None else until - now)
            pair = self._free.popleft()
            pair[0].busy += 1
            return pair

    def give_back(self, process: EngineProcess, lane: Lane) -> None:
        with self._changed:
            process.busy -= 1
            if process in self._members:
                self._free.append((process, lane))
            self._changed.notify_all()
