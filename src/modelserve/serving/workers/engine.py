"""The program with the model in it: a server's whole life, behind Unix sockets for its workers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import uvloop

from modelserve._kit.quiet import silence
from modelserve.errors import Unavailable
from modelserve.serving.lifespan import Life
from modelserve.serving.listening import BACKLOG, ExitCode
from modelserve.serving.loading import load
from modelserve.serving.logs import EventLog, capture_libraries
from modelserve.serving.workers.charge import STOP, Charge, take_charge
from modelserve.serving.workers.desk import Desk


class EngineLife(Life):
    """The life of a server whose clients talk to its workers."""

    signals = (STOP,)

    def __init__(self, charge: Charge, log: EventLog) -> None:
        self._charge = charge
        super().__init__(charge.settings(), _listener(charge), log, load, self._tell)
        self._desk = Desk(charge.folder.calls, self._plane, self._instruments)

    def _port(self) -> int:
        return self._charge.port

    async def _open_doors(self) -> None:
        await super()._open_doors()
        await self._desk.open()

    def _drain_doors(self, until: float) -> None:
        super()._drain_doors(until)
        self._desk.drain(until, self._hurry)

    async def _close_doors(self) -> None:
        await self._desk.close()
        await super()._close_doors()

    def _announce(self, content: dict[str, Any]) -> None:
        self._say({"place": content})

    def _tell(self, place: Mapping[str, Any]) -> None:
        self._say({"ready": place})

    def _say(self, told: Mapping[str, Any]) -> None:
        """Tell the parent, a line each time."""
        os.write(self._charge.descriptor, orjson.dumps(told) + b"\n")


def _listener(charge: Charge) -> socket.socket:
    """The socket for what is not a call; what a dead engine left of it makes room."""
    charge.folder.http.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(charge.folder.http))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


async def _live(charge: Charge, log: EventLog) -> tuple[ExitCode, bool]:
    return await EngineLife(charge, log).run()


def main() -> int:
    silence()
    charge = take_charge()
    settings = charge.settings()
    log = EventLog(service=settings.service, revision=settings.revision)
    capture_libraries(log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            code, clean = runner.run(_live(charge, log))
        except OSError as error:
            log.error("bind_failed", message=str(error))
            return ExitCode.CRASHED
        except Unavailable as error:
            log.error("misused", message=error.message)
            return ExitCode.MISUSED
    if not clean:
        os._exit(code)  # a thread inside the engine would crash or hang an orderly end
    return code


if __name__ == "__main__":
    sys.exit(main())
