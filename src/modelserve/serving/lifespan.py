"""The life of a model server process: bind, announce, load, warm up, serve, drain.

*Drain*: ready turns to 503 at once; for a moment everything is still answered, until proxies have noticed;
then no new connection is taken, and what is in flight is finished.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from modelserve._kit.files import write_atomically
from modelserve.errors import ModelServeError, Unavailable
from modelserve.serving.answers import AnswerLog
from modelserve.serving.app import create_app
from modelserve.serving.catalogue import OneModel, RepositoryFolder
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.front import NOTICE, Front, unless
from modelserve.serving.inference import Instruments
from modelserve.serving.listening import ExitCode
from modelserve.serving.logs import EventLog
from modelserve.serving.memory import keep_weights_apart
from modelserve.serving.repository import Repository
from modelserve.serving.starting import Loader, Starter
from modelserve.settings import ServerSettings
from modelserve.telemetry import ServerTelemetry

if TYPE_CHECKING:
    from modelserve.serving.grpc.server import GrpcEdge


class Life:
    """One process's life. ``load`` turns the settings into a model in memory, on a thread; ``ready`` is told
    the ports as soon as calls are answered."""

    signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGTERM, signal.SIGINT)
    """What tells it to stop; a second time, to hurry."""

    def __init__(
        self,
        settings: ServerSettings,
        listener: socket.socket,
        log: EventLog,
        load: Loader,
        ready: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        self._tell_ready = ready
        self._settings, self._listener, self._log = settings, listener, log
        epoch = uuid.uuid4().hex
        self._place: dict[str, Any] = {"pid": os.getpid(), "port": self._port(), "epoch": epoch}
        telemetry = ServerTelemetry(settings.service, settings.revision, epoch)
        self._starter = Starter(settings, telemetry, log, load)
        self._plane = Dataplane(_repository(settings, self._starter))
        answers = AnswerLog(settings.answers_kept, epoch, predictions=settings.predictions_kept)
        self._instruments = Instruments(telemetry, answers, log)
        self._front = Front(create_app(settings, self._plane, self._instruments), settings.client_timeout)
        self._grpc: GrpcEdge | None = None
        self._loading: asyncio.Task[Any]
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._born = time.monotonic()

    def _port(self) -> int:
        """Where clients reach it."""
        return int(self._listener.getsockname()[1])

    async def run(self) -> tuple[ExitCode, bool]:
        """Live until a signal or a failure ends it: how it ended, and whether no thread was left behind.

        Raises OSError if the port for gRPC is taken.
        """
        self._catch_signals()
        await self._open_doors()
        serving = self._front.open(self._listener)
        self._announce(self._place)
        self._log.info("started", **self._place)
        try:
            code = await self._live(serving)
        finally:
            await self._front.close()
            await self._close_doors()
            await self._starter.close()
        clean = self._loading.done() and await self._plane.close()
        self._log.info("stopped", code=code, clean=clean)
        return code, clean

    async def _open_doors(self) -> None:
        """Open the ways in beside HTTP."""
        if self._settings.grpc_port is not None:
            self._grpc = grpc_edge(self._settings, self._plane, self._instruments)
            self._place["grpc_port"] = await self._grpc.start()

    def _drain_doors(self, until: float) -> None:
        """Have them finish what they have, until the monotonic time ``until``."""
        if self._grpc is not None:
            self._grpc.drain(until - time.monotonic(), self._hurry)

    async def _close_doors(self) -> None:
        if self._grpc is not None:
            await self._grpc.stop()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self.signals:
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
            self._front.hurry()
        self._stop.set()

    def _announce(self, content: dict[str, Any]) -> None:
        if self._settings.announce is not None:
            write_atomically(self._settings.announce, orjson.dumps(content))

    async def _live(self, serving: asyncio.Task[None]) -> ExitCode:
        stop = asyncio.create_task(self._stop.wait())
        self._loading = asyncio.create_task(self._load())
        ends: set[asyncio.Future[Any]] = {self._loading, stop, serving}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._loading.done():
            if error := self._loading.exception():
                return self._unfit(error)
            gc.freeze()  # what was loaded stays: looking through it again is a pause for everybody
            self._plane.started = True
            self._tell_remarks()
            self._log.info("ready", seconds=round(time.monotonic() - self._born, 3))
            self._tell_ready(self._place)
            await asyncio.wait(ends - {self._loading}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            return ExitCode.CRASHED
        await self._drain()
        return ExitCode.STOPPED

    async def _load(self) -> None:
        """What must be in memory before the server is ready: its own revision, or nothing of a repository."""
        if self._settings.repository is None:
            await self._plane.repository.load(self._settings.service)

    def _tell_remarks(self) -> None:
        """Announce what the owner of what was loaded should know."""
        remarks = [remark for served in self._plane.repository.served() for remark in served.loaded.remarks]
        if remarks:
            self._announce({**self._place, "remarks": remarks})

    def _unfit(self, error: BaseException) -> ExitCode:
        """Tell why the package cannot be served; a defect of ours comes with its traceback."""
        known = isinstance(error, ModelServeError)
        self._log.error("unfit" if known else "crashed", None if known else error, message=str(error))
        self._announce({**self._place, "error": str(error)})
        return ExitCode.UNFIT if known else ExitCode.CRASHED

    async def _drain(self) -> None:
        until = time.monotonic() + self._settings.drain
        notice = min(NOTICE, self._settings.drain) if not self._plane.unready else 0.0
        self._plane.draining = True
        self._log.info("draining", seconds=self._settings.drain)
        await unless(self._hurry, notice)
        self._drain_doors(until)
        await self._front.drain(until, self._hurry)


def grpc_edge(settings: ServerSettings, plane: Dataplane, instruments: Instruments) -> GrpcEdge:
    """Raises Unavailable where grpcio is not installed."""
    try:
        from modelserve.serving.grpc.server import GrpcEdge
    except ImportError as error:
        raise Unavailable(f"grpc_port: {error}; gRPC needs: pip install 'modelserve[grpc]'") from None
    return GrpcEdge(settings, plane, instruments)


def _repository(settings: ServerSettings, start: Starter) -> Repository:
    if settings.repository is not None:
        keep_weights_apart()
        return Repository(RepositoryFolder(settings.repository), start, budget=settings.memory_budget)
    one = OneModel(settings.service, settings.revision, settings.package)
    return Repository(one, start, on_demand=False)
