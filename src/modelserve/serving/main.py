"""The program: ``python -m modelserve.serving --settings FILE.json``.

Exit codes: 0 stopped, 1 crashed (the address is taken, a defect), 2 misused, 3 the package is unfit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop
from pydantic import ValidationError

from modelserve.errors import Unavailable
from modelserve.serving.listening import ExitCode, bind, bind_many
from modelserve.serving.logs import EventLog, capture_libraries
from modelserve.settings import ServerSettings

Ready = Callable[[Mapping[str, Any]], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one model server until it is told to stop; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelserve.serving", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the server's settings")
    path = parser.parse_args(arguments).settings
    try:
        settings = ServerSettings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        parser.error(f"{path}: {error}")
    log = EventLog(service=settings.service, revision=settings.revision)
    try:
        return run(settings, log)
    except OSError as error:
        log.error("bind_failed", message=str(error))
        return ExitCode.CRASHED
    except Unavailable as error:
        parser.error(f"{path}: {error}")


def run(settings: ServerSettings, log: EventLog, ready: Ready = lambda _: None) -> int:
    """Live until a signal ends it; the exit code. ``ready`` is told the ports once calls are answered.

    Raises OSError for an address that is taken, Unavailable for gRPC without its library.
    """
    allow_many_connections()
    capture_libraries(log)
    live = _workers if settings.http_workers else _alone
    return live(settings, log, ready)


def _alone(settings: ServerSettings, log: EventLog, ready: Ready) -> int:
    """Do everything in this process."""
    from modelserve.serving.lifespan import Life
    from modelserve.serving.loading import load

    (listener,) = _bound(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code, clean = runner.run(Life(settings, listener, log, load, ready).run())
    if not clean:
        os._exit(code)  # a thread inside the engine would crash or hang an orderly end
    return code


def _workers(settings: ServerSettings, log: EventLog, ready: Ready) -> int:
    """Look after an engine and its HTTP workers, which import what this process can do without."""
    from modelserve.serving.workers.parent import Parent

    listeners = _bound(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Parent(settings, listeners, log, ready).run())


def _bound(settings: ServerSettings) -> list[socket.socket]:
    """A listening socket for each process that reads HTTP. Raises OSError, which names the address."""
    try:
        if settings.http_workers:
            return bind_many(settings.host, settings.port, settings.http_workers)
        return [bind(settings.host, settings.port)]
    except OSError as error:
        raise OSError(f"{settings.host}:{settings.port}: {error}") from error


def allow_many_connections() -> None:
    """Raise the soft limit of open files, often 1024, to the hard one: each connection is a file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS takes no "unlimited" here
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
