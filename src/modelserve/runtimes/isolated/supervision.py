"""The thread that starts an engine's processes, notices at once when one ends, and replaces it.

It lives as long as the model does, because the kernel kills a process that asked for it together with the
*thread* that started it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import Counter
from dataclasses import dataclass

from modelserve.errors import ModelServeError
from modelserve.runtimes.isolated.hosting import Hosting
from modelserve.runtimes.isolated.pool import Pool
from modelserve.runtimes.isolated.process import EngineProcess

LOG = logging.getLogger("modelserve.engine")
LOOK = 1.0
"""Seconds between two looks at the memory of the processes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the second start after a failure, doubled each time; the first start is immediate."""
PROVEN = 60.0
"""Seconds of life after which earlier failures are forgotten."""


@dataclass
class _Seat:
    """A place for one process: the one that answers, and the one that is to follow it."""

    current: EngineProcess | None = None
    coming: EngineProcess | None = None
    failures: int = 0
    due: float = 0.0
    """Monotonic seconds before which no process is started."""


class Supervisor:
    """Keeps ``hosting.processes`` processes alive until it is closed."""

    def __init__(self, hosting: Hosting) -> None:
        self.pool = Pool()
        self.streams, self.whole, self.turns = False, True, ""
        self.replaced: Counter[str] = Counter()
        self.memory: dict[int, int] = {}
        self._hosting = hosting
        self._seats = [_Seat() for _ in range(hosting.processes)]
        self._leaving: set[EngineProcess] = set()
        self._first: threading.Event = threading.Event()
        self._error: Exception | None = None
        self._closing = False
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._looked = 0.0
        self._thread = threading.Thread(target=self._live, name="engine-supervisor", daemon=True)

    def start(self) -> None:
        """Return once every process has loaded the model. Raises what the first that failed raised."""
        self._thread.start()
        self._first.wait()
        if self._error is not None:
            self.close()
            raise self._error

    def close(self) -> None:
        """End every process; blocks until they are gone."""
        self._closing = True
        self.wake()
        self._thread.join()

    def wake(self) -> None:
        """Have the supervisor look now."""
        with contextlib.suppress(OSError):
            os.write(self._waker, b"!")

    def hung(self, process: EngineProcess) -> None:
        """A process let an answer wait for too long: kill it."""
        self.pool.remove(process, "the engine hung and is being started again")
        self.replaced["hung"] += 1
        process.kill()
        self.wake()

    # On the supervisor's own thread.

    def _live(self) -> None:
        try:
            while not self._closing:
                now = time.monotonic()
                for index, seat in enumerate(self._seats):
                    self._tend(index, seat, now)
                self._dismiss()
                self._settle_first()
                self._wait(now)
        except Exception as error:
            self._error = error
            LOG.exception("the supervisor of the engine's processes failed")
        finally:
            self._end_all()
            self._first.set()

    def _tend(self, index: int, seat: _Seat, now: float) -> None:
        if seat.current and seat.current.has_ended():
            self._bury(seat, now)
        if seat.coming and (seat.coming.has_ended() or _readable(seat.coming)):
            self._welcome(seat, now)
        if seat.current:
            self._weigh(index, seat, now)
        elif not seat.coming and now >= seat.due:
            seat.coming = EngineProcess(self._hosting)

    def _bury(self, seat: _Seat, now: float) -> None:
        process = seat.current
        assert process is not None  # noqa: S101 - asked for by the caller
        seat.current = None
        how = process.end()
        self.pool.remove(process, f"the engine's process {how} and is being started again")
        self.replaced["died"] += 1
        if now - process.born > PROVEN:
            seat.failures = 0
        self._fail(seat, now)
        self._leaving.add(process)
        LOG.error("the engine's process %d %s", process.pid, how)

    def _fail(self, seat: _Seat, now: float) -> None:
        pause = FIRST_PAUSE * 2 ** (seat.failures - 1) if seat.failures else 0.0
        seat.due = now + min(pause, LONGEST_PAUSE)
        seat.failures += 1

    def _welcome(self, seat: _Seat, now: float) -> None:
        """A process has loaded the model, or it could not."""
        process = seat.coming
        assert process is not None  # noqa: S101 - asked for by the caller
        seat.coming = None
        try:
            self.streams, self.whole = process.loaded()
            self.turns = process.turns
        except ModelServeError as error:
            self._leaving.add(process)
            self._fail(seat, now)
            if self._first.is_set():
                LOG.error("the engine could not be started again: %s", error)
            else:
                self._error = error
                self._first.set()
            return
        if seat.current:
            self.pool.remove(seat.current, "")
            self._leaving.add(seat.current)
        seat.current = process
        self.pool.add(process)

    def _weigh(self, index: int, seat: _Seat, now: float) -> None:
        if now - self._looked < LOOK or not seat.current:
            return
        self.memory[index] = held = seat.current.memory()
        most = self._hosting.max_memory
        if most is not None and held > most and not seat.coming:
            LOG.warning("the engine's process %d holds %d bytes and is replaced", seat.current.pid, held)
            self.replaced["memory"] += 1
            seat.coming = EngineProcess(self._hosting)

    def _dismiss(self) -> None:
        for process in [each for each in self._leaving if not each.busy]:
            process.end()
            process.forget()
            self._leaving.discard(process)

    def _settle_first(self) -> None:
        if all(seat.current for seat in self._seats):
            self._first.set()

    def _wait(self, now: float) -> None:
        """Until something happens: a process ends or has loaded, somebody wakes us, or a time comes."""
        if now - self._looked >= LOOK:
            self._looked = now
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for seat in self._seats:
            if seat.current:
                poll.register(seat.current.descriptor, select.POLLIN)
            if seat.coming:
                poll.register(seat.coming.descriptor, select.POLLIN)
                poll.register(seat.coming.control, select.POLLIN)
        due = [seat.due for seat in self._seats if not (seat.current or seat.coming)]
        until = min([now + LOOK, *due])
        if any(fd == self._wake for fd, _ in poll.poll(max(0.0, until - now) * 1000 + 1)):
            os.read(self._wake, 4096)

    def _end_all(self) -> None:
        seats = [process for seat in self._seats for process in (seat.current, seat.coming) if process]
        for process in (*seats, *self._leaving):
            self.pool.remove(process, "the server is stopping")
            process.end()
            process.forget()
        os.close(self._wake)
        os.close(self._waker)


def _readable(process: EngineProcess) -> bool:
    return bool(select.select([process.control], [], [], 0)[0])
