"""One model server as a process: started by this launcher, or by an earlier one and taken over."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

from modelserve._kit.processes import Identity, identify, signal_group
from modelserve._kit.quiet import SWITCHES

_PASSED_ON = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH"}
    | {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}  # where Python may leave files
    | {"SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"}
)
_POLL = 0.005
_PREFIXES_PASSED_ON = ("CUDA_", "LC_", "NVIDIA_", "XDG_")


class Child:
    """A process that leads its own session, so that it outlives the launcher and can be killed as a group."""

    def __init__(self, identity: Identity, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.identity = identity
        self._popen = popen
        self._gone = False

    @property
    def pid(self) -> int:
        return self.identity.pid

    @classmethod
    def start(cls, command: Sequence[str], log: BinaryIO, folder: Path) -> Child:
        """Raises OSError."""
        popen = subprocess.Popen(  # noqa: S603 - the command is the platform's own
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(os.environ),
            start_new_session=True,
        )
        return cls(identify(popen.pid) or Identity(popen.pid, 0.0), popen)

    def is_gone(self, patience: float = 0.0) -> bool:
        """Whether it has ended; what it left in its group is killed then, too.

        The kernel shows the end of a process a moment before it can be collected: ``patience`` seconds at
        most are spent, blocking, on that moment.
        """
        if not self._gone and self._has_ended():
            signal_group(self.pid, signal.SIGKILL)  # while the number is still its own
            deadline = time.monotonic() + patience
            while not (collected := self._collect()) and time.monotonic() < deadline:
                time.sleep(_POLL)
            self._gone = collected
        return self._gone

    @property
    def exit_code(self) -> int | None:
        """Minus the signal's number for one that was killed; None while it runs, or if nobody told us."""
        return None if self._popen is None else self._popen.returncode

    def terminate(self) -> None:
        """Ask it to finish; a stopped process is woken, so that it hears."""
        process = self.identity.process()
        if process is not None:
            with contextlib.suppress(psutil.Error):
                process.terminate()
                process.resume()

    def kill(self) -> None:
        """End it and its group at once; works on stopped processes."""
        if self.identity.is_alive():
            signal_group(self.pid, signal.SIGKILL)

    def _has_ended(self) -> bool:
        """Also true for one that was collected by somebody else."""
        return not self.identity.is_alive()

    def _collect(self) -> bool:
        """Take the exit code, so that no zombie stays; true too for a process that isn't ours to collect."""
        if self._popen is not None:
            return self._popen.poll() is not None
        try:
            return os.waitpid(self.pid, os.WNOHANG) != (0, 0)
        except ChildProcessError:
            return True


def strays(directory: Path, known: frozenset[int]) -> Iterator[tuple[Child, Path]]:
    """Living leaders of sessions, other than the known, and their settings below ``directory``."""
    for process in psutil.process_iter(["cmdline"]):
        settings = _told_settings(process.info["cmdline"] or [])
        if settings is None or directory not in settings.parents or process.pid in known:
            continue
        identity = identify(process.pid)
        if identity is not None and _leads(process.pid):
            yield Child(identity), settings


def _told_settings(arguments: list[str]) -> Path | None:
    return next((Path(b) for a, b in itertools.pairwise(arguments) if a == "--settings"), None)


def runs(identity: Identity, settings: Path) -> bool:
    """Whether this process lives and was told these settings."""
    process = identity.process()
    try:
        return process is not None and str(settings) in process.cmdline()
    except psutil.Error:
        return False


def describe_exit(code: int | None) -> str:
    if code is None:
        return "ended"
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def _environment(whole: Mapping[str, str]) -> dict[str, str]:
    """What a model server needs and nothing else: the records store's password is none of its business."""
    kept = {k: v for k, v in whole.items() if k in _PASSED_ON or k.startswith(_PREFIXES_PASSED_ON)}
    return {**kept, **SWITCHES, "PYTHONUNBUFFERED": "1"}
