"""The process that is announced: it holds the sockets, and starts the engine and the workers again.

An engine or a worker that was killed is started again, after a pause that doubles. One that ends by itself
has said why, and starting it again would not help: then the whole server ends with its exit code, as it
does after :data:`MOST` deaths in a row, so that whoever started it sees that this revision does not live.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from modelserve._kit.files import write_atomically
from modelserve.serving.listening import ExitCode
from modelserve.serving.logs import EventLog
from modelserve.serving.workers.charge import STOP, Charge
from modelserve.serving.workers.folder import HeldFolder
from modelserve.settings import ServerSettings

FIRST_PAUSE = 0.25
"""Seconds before the second start after a death, doubled each time; the first start is immediate."""
PROVEN = 60.0
"""Seconds of life after which earlier deaths are forgotten."""
MOST = 5
"""Deaths in a row that are one too many."""
OVERRUN = 3.0
"""Seconds beyond the drain after which a process that has not ended is killed."""


class Parent:
    """Lives on the event loop's thread, which must be the main one: the kernel kills the processes with it.

    ``listeners`` has one socket for each worker, all of one port. A worker that is started again gets the
    socket of the one that died, with the connections that wait there.
    """

    def __init__(
        self,
        settings: ServerSettings,
        listeners: Sequence[socket.socket],
        log: EventLog,
        ready: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._ready = ready
        self._settings, self._listeners, self._log = settings, listeners, log
        self._held = HeldFolder()
        self._folder = self._held.folder
        self._port = int(listeners[0].getsockname()[1])
        self._grpc_port = settings.grpc_port
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()
        self._code = ExitCode.STOPPED.value

    async def run(self) -> int:
        """Live until a signal or a failure ends it; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        try:
            await self._look_after()
        finally:
            self._held.remove()
        return self._code

    async def _look_after(self) -> None:
        seats = {"engine": -1} | {f"worker-{index}": index for index in range(len(self._listeners))}
        tasks = [asyncio.create_task(self._keep(name, index)) for name, index in seats.items()]
        await self._stop.wait()
        _, late = await asyncio.wait(tasks, timeout=self._settings.drain + OVERRUN)
        for process in self._running.values():
            process.kill()
        if late:
            await asyncio.wait(late)
        for task in tasks:
            task.result()

    async def _keep(self, name: str, index: int) -> None:
        """Have this process run until the server stops."""
        deaths = 0
        while not self._stop.is_set():
            born = time.monotonic()
            code = await (self._run_worker(name, index) if index >= 0 else self._run_engine(name))
            if self._stop.is_set():
                return
            self._log.error("process_ended", process=name, code=code)
            deaths = 1 if time.monotonic() - born > PROVEN else deaths + 1
            if code >= 0 or deaths >= MOST:
                self._end(code if code > 0 else ExitCode.CRASHED)
                return
            await self._pause(deaths)

    async def _pause(self, deaths: int) -> None:
        if deaths > 1:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), FIRST_PAUSE * 2 ** (deaths - 2))

    async def _run_worker(self, name: str, index: int) -> int:
        return await self._run(name, "worker", self._listeners[index].fileno())

    async def _run_engine(self, name: str) -> int:
        """Run an engine and announce what it tells."""
        self._write_settings()
        ours, theirs = os.pipe()
        reader = asyncio.StreamReader()
        pipe = os.fdopen(ours, "rb", buffering=0)  # the transport's to close, when the engine's end is
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        listening = asyncio.create_task(self._listen(reader))
        try:
            return await self._run(name, "engine", theirs, ours=False)
        finally:
            await listening

    async def _run(self, name: str, program: str, descriptor: int, *, ours: bool = True) -> int:
        """Run a program to its end: its exit code. A descriptor that is not ours is given away."""
        charge = Charge(self._folder, os.getpid(), self._port, descriptor)
        try:
            process = await asyncio.create_subprocess_exec(
                *charge.command(program), stdin=asyncio.subprocess.DEVNULL, pass_fds=[descriptor]
            )
        finally:
            if not ours:
                os.close(descriptor)
        self._running[name] = process
        if self._stop.is_set():  # told to stop while it was being started
            process.send_signal(STOP)
        try:
            return await process.wait()
        finally:
            del self._running[name]

    def _write_settings(self) -> None:
        """As they were when the server was started; gRPC keeps its port over a restart of the engine."""
        told = self._settings.model_copy(update={"announce": None, "grpc_port": self._grpc_port})
        write_atomically(self._folder.settings, told.model_dump_json().encode())

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            told = orjson.loads(line)
            if "place" in told:
                self._announce({**told["place"], "pid": os.getpid()})
            else:
                self._ready({**told["ready"], "pid": os.getpid()})

    def _announce(self, told: dict[str, Any]) -> None:
        """The engine's place, as ours: its epoch changes with its counters."""
        self._grpc_port = told.get("grpc_port", self._grpc_port)
        if self._settings.announce is not None:
            write_atomically(self._settings.announce, orjson.dumps(told))

    def _told_to_stop(self) -> None:
        """Tell all; the sockets are the workers' alone now, so that they can close them."""
        for listener in self._listeners:
            listener.close()
        self._stop.set()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(STOP)

    def _end(self, code: int) -> None:
        """End the server with this exit code, without waiting for calls that nobody can answer."""
        if not self._stop.is_set():
            self._code = code
            self._told_to_stop()
            for process in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
