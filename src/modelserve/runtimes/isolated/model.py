"""The model of another process, as the server's worker threads call it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from modelserve.domain.inference import Tensors
from modelserve.errors import EngineDied
from modelserve.runtimes.base import Vitals
from modelserve.runtimes.isolated.hosting import Hosting
from modelserve.runtimes.isolated.lane import Lane
from modelserve.runtimes.isolated.supervision import Supervisor


class IsolatedModel:
    """Every call goes to a free lane of a process that lives; who comes when none is free waits."""

    steady = False

    def __init__(self, hosting: Hosting) -> None:
        """Start the processes and wait until they have loaded the model. Raises InvalidPackage."""
        self.signature = hosting.package.signature
        self._limit = hosting.limit
        self._supervisor = Supervisor(hosting)
        self._supervisor.start()
        self.streams, self.whole = self._supervisor.streams, self._supervisor.whole
        self.lanes = hosting.processes * (1 if self._supervisor.turns else hosting.lanes)
        self.turns = self._supervisor.turns
        """Why each of its processes takes one batch at a time; a second process is no hindrance."""

    def predict(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        """Run one batch. Raises what the model raises, EngineDied if its process ends or hangs over it, and
        Unavailable while none lives."""
        with self._lane() as lane:
            return lane.predict(tensors, outputs)

    def stream(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Iterator[Tensors]:
        """The pieces of one answer; holds a lane until it ends. Raises as ``predict`` does."""
        with self._lane() as lane:
            yield from lane.stream(tensors, outputs)

    def vitals(self) -> Vitals:
        supervisor = self._supervisor
        return Vitals(supervisor.pool.members > 0, dict(supervisor.memory), dict(supervisor.replaced))

    def close(self) -> None:
        """End the processes."""
        self._supervisor.close()

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        pool = self._supervisor.pool
        process, lane = pool.take()
        try:
            yield lane
        except EOFError:
            pool.remove(process, "the engine's process ended and is being started again")
            self._supervisor.wake()
            raise EngineDied(f"the engine's process {process.end()} before it answered") from None
        except TimeoutError:
            self._supervisor.hung(process)
            told = f"the engine did not answer within {self._limit:g} s; its process was killed"
            raise EngineDied(told) from None
        finally:
            pool.give_back(process, lane)
