"""The two loops: what they share, and when each sends."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from abc import ABC, abstractmethod
from collections import deque

from modelserve.loadtest.alarms import Alarm, alarm
from modelserve.loadtest.arrivals import due
from modelserve.loadtest.connection import Connection
from modelserve.loadtest.plans import Plan
from modelserve.loadtest.tallies import REFUSED, TIMED_OUT, Cell, Outcome, Tally
from modelserve.loadtest.wire import Seen, code_of

SWEEP = 0.05
"""Seconds between two looks for requests that ran out of time."""
RECONNECT = 0.05
"""Seconds before a connection that was refused is tried again."""
_NEVER = float("inf")


class Loop(ABC):
    """Connections that are opened again when they break, and the count of what comes of their requests."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.tally = plan, Tally()
        self._requests = itertools.cycle(plan.requests)
        self._cells: dict[tuple[bytes, bytes, bytes], Cell] = {}
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._begin = self._from = self._until = _NEVER
        self._stopped = False

    async def open(self) -> None:
        """Connect once with every client; raises OSError if the first is refused."""
        await self._connect()
        await asyncio.gather(*(self._keep_connecting() for _ in range(self.plan.clients - 1)))

    async def run(self, begin: float) -> Tally:
        """Load from ``begin``, a reading of the monotonic clock, through warm-up and duration to the end."""
        self._begin, self._from = begin, begin + self.plan.warm_up
        self._until = self._from + self.plan.duration
        await asyncio.sleep(begin - time.monotonic())
        self._start()
        while not self._over(time.monotonic()):
            await asyncio.sleep(SWEEP)
            self._sweep(time.monotonic())
        self._stopped = True
        for connection in tuple(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        return self.tally

    @abstractmethod
    def _start(self) -> None:
        """The time has come to send."""

    @abstractmethod
    def free(self, connection: Connection) -> None:
        """A connection is open and idle."""

    def _over(self, now: float) -> bool:
        if now < self._until:
            return False
        return now > self._until + self.plan.timeout or not any(each.busy for each in self._connections)

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def answered(self, connection: Connection, seen: Seen) -> None:
        key = (seen.status, seen.revision, seen.body)
        cell = self._cells.get(key) or self._cell(seen)
        self._count(cell, connection.due, connection.sent)

    def failed(self, connection: Connection, outcome: Outcome) -> None:
        if not self._stopped:
            self._count(self.tally.cell(outcome), connection.due, connection.sent)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._stopped:
            task = asyncio.ensure_future(self._keep_connecting())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _cell(self, seen: Seen) -> Cell:
        outcome = Outcome(int(seen.status), seen.revision.decode("latin-1"), code_of(seen.body))
        cell = self.tally.cell(outcome)
        if len(self._cells) < 1000:  # bodies of errors may all differ
            self._cells[seen.status, seen.revision, seen.body] = cell
        return cell

    def _count(self, cell: Cell, due_at: float, sent: float) -> None:
        now = time.monotonic()
        if self._from <= due_at < self._until:
            cell.waited.add(now - due_at)
            cell.served.add(now - sent)
        if self._from <= now < self._until:
            cell.within += 1

    async def _connect(self) -> None:
        loop, plan = asyncio.get_running_loop(), self.plan
        context = ssl.create_default_context() if plan.tls else None
        await loop.create_connection(lambda: Connection(self), plan.host, plan.port, ssl=context)

    async def _keep_connecting(self) -> None:
        while not self._stopped:
            tried = time.monotonic()
            try:
                await self._connect()
                return
            except OSError:
                self._refused(tried)
                await asyncio.sleep(RECONNECT)

    def _refused(self, tried: float) -> None:  # noqa: B027 - an open loop has requests wait for it instead
        """A connection was refused when it was tried."""

    def _sweep(self, now: float) -> None:
        oldest = now - self.plan.timeout
        for connection in [each for each in self._connections if each.busy and each.due < oldest]:
            connection.fail(TIMED_OUT)


class ClosedLoop(Loop):
    """Every client asks again when it has its answer."""

    _started = False

    def _start(self) -> None:
        self._started = True  # and not "begin is past": a timer may ring a little early
        for connection in tuple(self._connections):
            if not connection.busy:
                self.free(connection)

    def free(self, connection: Connection) -> None:
        now = time.monotonic()
        if self._started and now < self._until:
            connection.ask(next(self._requests), now)

    def _refused(self, tried: float) -> None:
        self._count(self.tally.cell(REFUSED), tried, tried)


class OpenLoop(Loop):
    """Requests leave when they are due, over whichever connection is free, or as soon as one is."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._idle: deque[Connection] = deque()
        self._queue: deque[float] = deque()
        """Due times of requests that wait for a connection."""
        self._due = due(plan)
        self._next = 0.0
        self._alarm: Alarm | None = None

    def _start(self) -> None:
        self._alarm = alarm(self._send_due)
        self._next = self._begin + next(self._due)
        self._alarm.set(self._next)

    def free(self, connection: Connection) -> None:
        if self._queue:
            connection.ask(next(self._requests), self._queue.popleft())
        else:
            self._idle.append(connection)

    def closed(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        super().closed(connection)

    def _send_due(self) -> None:
        assert self._alarm is not None  # noqa: S101 - it rang
        while (now := time.monotonic()) >= self._next:
            if self._next >= self._until:
                self._alarm.close()
                return
            self._send(self._next, now)
            self._next = self._begin + next(self._due)
        self._alarm.set(self._next)

    def _send(self, due_at: float, now: float) -> None:
        if self._idle:
            self._idle.popleft().ask(next(self._requests), due_at)
            self.tally.late.add(now - due_at)
        else:
            self._queue.append(due_at)
            self.tally.queued += 1

    def _over(self, now: float) -> bool:
        return super()._over(now) and (not self._queue or now > self._until + self.plan.timeout)

    def _sweep(self, now: float) -> None:
        super()._sweep(now)
        while self._queue and self._queue[0] < now - self.plan.timeout:
            due_at = self._queue.popleft()
            self._count(self.tally.cell(TIMED_OUT), due_at, due_at)


def loop_for(plan: Plan) -> Loop:
    return ClosedLoop(plan) if plan.rate is None else OpenLoop(plan)
