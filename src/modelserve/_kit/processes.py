"""Which process is meant, beyond its number.

The kernel gives the number of a process that ended to a new one sooner or later. Number and start time
together mean one process, as long as the machine is up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from dataclasses import dataclass

import psutil

_PR_SET_PDEATHSIG = 1
_TOLERANCE = 1.5  # seconds; the kernel rounds the boot time to whole seconds, one way or the other


@dataclass(frozen=True, slots=True)
class Identity:
    """One process. ``started`` is in seconds since boot, so that setting the clock changes nothing."""

    pid: int
    started: float

    def is_alive(self) -> bool:
        """Whether this very process runs or is stopped; a zombie is gone."""
        return self.process() is not None

    def process(self) -> psutil.Process | None:
        """The process, or None if it is gone, a zombie, or its number means another one by now."""
        try:
            process = psutil.Process(self.pid)
            if abs(_started(process) - self.started) > _TOLERANCE or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.Error:
            return None
        return process


def identify(pid: int) -> Identity | None:
    """Who has this number now; None if nobody that lives."""
    try:
        found = Identity(pid, round(_started(psutil.Process(pid)), 2))
    except (psutil.Error, ValueError):
        return None
    return found if found.is_alive() else None


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal a process group by its leader's number; a group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _started(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())


def end_with(parent: int) -> None:
    """Have the kernel kill this process when ``parent``, which started it, ends; at once if it has ended.

    The signal comes with the end of the thread that started it.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
