"""Pure: what one replica's exits and health checks say about it, and when it may start again.

Times are readings of one monotonic clock, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelserve.domain.workloads import ReplicaPhase

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds between an exit and the next start: doubled each time, from the first to the longest."""
HEALTHY_AFTER = 30.0
"""Seconds of health after which earlier exits are forgiven."""
LOOPING_EXITS = 5
"""Exits in a row, no run between them healthy for long, that make a crash loop."""
MISSES = 2
"""Failed health checks in a row that make a replica which was ready unresponsive."""
PATIENCE = 30.0
"""Seconds without any answer after which a replica that was ready is killed and started again."""


@dataclass(slots=True)
class Supervision:
    """The story of one replica so far."""

    starts: int = 0
    exits: int = 0
    """In a row."""
    next_start: float = 0.0
    hopeless: bool = False
    """Starting again can't help: the package is unfit."""
    reason: str = ""
    was_ready: bool = False
    """Whether the process that runs now has been ready."""
    misses: int = 0
    healthy_since: float | None = None
    silent_since: float | None = None

    def started(self) -> None:
        self.starts += 1
        self.was_ready = False
        self._forget_health()

    def answered(self, now: float) -> None:
        """The replica says that it is ready."""
        self.was_ready = True
        self.misses = 0
        self.silent_since = None
        self.healthy_since = now if self.healthy_since is None else self.healthy_since
        self.reason = ""
        if now - self.healthy_since >= HEALTHY_AFTER:
            self.exits = 0

    def missed(self, now: float, why: str, *, silent: bool) -> None:
        """The replica says that it isn't ready or, ``silent``, says nothing."""
        self.misses += 1
        self.healthy_since = None
        self.silent_since = (self.silent_since or now) if silent else None
        if self.was_ready:
            self.reason = why

    def exited(self, now: float, why: str, *, hopeless: bool = False) -> None:
        self.exits += 1
        self.hopeless = hopeless
        self.next_start = now + min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self.exits - 1, 10))
        self.reason = why
        self._forget_health()

    def may_start(self, now: float) -> bool:
        return not self.hopeless and now >= self.next_start

    def stuck(self, now: float) -> bool:
        """Whether a replica that was ready has been silent for too long to be waited for."""
        return self.was_ready and self.silent_since is not None and now - self.silent_since >= PATIENCE

    def phase(self, *, alive: bool) -> ReplicaPhase:
        if alive and self.was_ready:
            return ReplicaPhase.UNRESPONSIVE if self.misses >= MISSES else ReplicaPhase.READY
        if self.hopeless or self.exits >= LOOPING_EXITS:
            return ReplicaPhase.CRASH_LOOPING
        return ReplicaPhase.STARTING if alive else ReplicaPhase.CRASHED

    def _forget_health(self) -> None:
        self.misses = 0
        self.healthy_since = None
        self.silent_since = None
