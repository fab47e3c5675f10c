"""What the parent gives a process on its way, and how the process lives no longer than the parent.

Signals that are meant for the whole group (Ctrl-C, a service manager's SIGTERM to all) do not reach them: the
parent alone decides when they stop, and says so with :data:`STOP`.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelserve._kit.processes import end_with
from modelserve.serving.workers.folder import Folder
from modelserve.settings import ServerSettings

STOP = signal.SIGUSR1
"""From the parent: finish what is in flight and end; a second time: hurry."""


@dataclass(frozen=True, slots=True)
class Charge:
    """``descriptor`` is the engine's pipe to the parent, or a worker's listening socket."""

    folder: Folder
    parent: int
    port: int
    descriptor: int

    def command(self, program: str) -> list[str]:
        told = {"folder": self.folder.path, "parent": self.parent, "port": self.port}
        options = [f"--{name}={value}" for name, value in (*told.items(), ("descriptor", self.descriptor))]
        return [sys.executable, "-m", f"modelserve.serving.workers.{program}", *options]

    def settings(self) -> ServerSettings:
        return ServerSettings.model_validate_json(self.folder.settings.read_bytes())


def take_charge(arguments: Sequence[str] | None = None) -> Charge:
    """Read the command line, and have the kernel kill this process when the parent ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("parent", "port", "descriptor"):
        parser.add_argument(f"--{name}", type=int, required=True)
    told = parser.parse_args(arguments)
    end_with(told.parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return Charge(Folder(told.folder), told.parent, told.port, told.descriptor)
