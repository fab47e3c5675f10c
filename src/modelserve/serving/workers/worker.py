"""The program that reads and writes HTTP, and has the engine answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time

import uvloop

from modelserve._kit.quiet import silence
from modelserve.serving.app import create_front
from modelserve.serving.front import NOTICE, Front, unless
from modelserve.serving.inference import Ledger
from modelserve.serving.listening import ExitCode
from modelserve.serving.logs import EventLog, capture_libraries
from modelserve.serving.workers.charge import STOP, Charge, take_charge
from modelserve.serving.workers.passing import PassedOn
from modelserve.serving.workers.plane import RemoteCounts, RemotePlane, RemoteSamples


class WorkerLife:
    """The life of one worker: connect, listen, drain."""

    def __init__(self, charge: Charge, log: EventLog) -> None:
        self._settings = settings = charge.settings()
        self._listener = socket.socket(fileno=charge.descriptor)
        self._plane = RemotePlane(charge.folder.calls)
        link = self._plane.link
        counts = RemoteCounts(link, settings.service, settings.revision)
        ledger = Ledger(counts, RemoteSamples(link), log, self._plane.segments)
        self._otherwise = PassedOn(charge.folder.http, settings.max_body)
        self._front = Front(
            create_front(settings, self._plane, ledger, self._otherwise), settings.client_timeout
        )
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()

    async def run(self) -> ExitCode:
        """Live until the parent says stop."""
        asyncio.get_running_loop().add_signal_handler(STOP, self._told_to_stop)
        linked = asyncio.create_task(self._plane.link.keep())
        serving = self._front.open(self._listener)
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        crashed = serving.done()
        if not crashed:
            await self._drain()
        await self._front.close()
        await self._otherwise.close()
        linked.cancel()
        self._plane.link.close()
        with contextlib.suppress(asyncio.CancelledError):
            await linked
        return ExitCode.CRASHED if crashed else ExitCode.STOPPED

    async def _drain(self) -> None:
        until = time.monotonic() + self._settings.drain
        self._plane.draining = True
        await unless(self._hurry, min(NOTICE, self._settings.drain))
        await self._front.drain(until, self._hurry)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
            self._front.hurry()
        self._stop.set()


async def _live(charge: Charge, log: EventLog) -> ExitCode:
    return await WorkerLife(charge, log).run()


def main() -> int:
    silence()
    charge = take_charge()
    settings = charge.settings()
    log = EventLog(service=settings.service, revision=settings.revision)
    capture_libraries(log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_live(charge, log))


if __name__ == "__main__":
    sys.exit(main())
