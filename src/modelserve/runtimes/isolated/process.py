"""One process that runs an engine, as the model server sees it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO

import psutil

from modelserve.errors import InvalidPackage
from modelserve.runtimes.isolated.channel import Channel
from modelserve.runtimes.isolated.faults import restore_fault
from modelserve.runtimes.isolated.hosting import Hosting, load_request
from modelserve.runtimes.isolated.lane import Lane

OUTPUT = logging.getLogger("modelserve.engine.output")
"""What the model's code prints, a record for each line."""
_LONGEST_LINE = 8192
_MARK = "MODELSERVE_ENGINE"
"""Environment variable by which an engine's process and all that it starts are known."""
_SETTLE = 1.0
"""Seconds for the kernel to tell how a process ended, once its socket is closed."""


class EngineProcess:
    """Started by the thread that makes it, which must live as long: the kernel kills the process with it."""

    def __init__(self, hosting: Hosting) -> None:
        """Start it and ask it to load. Raises OSError."""
        pairs = [socket.socketpair() for _ in range(hosting.lanes)]
        theirs = [pair[1].fileno() for pair in pairs]
        self._mark = uuid.uuid4().hex
        self._popen = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            _command(theirs),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=theirs,
            env=os.environ | {_MARK: self._mark},
        )
        self.born = time.monotonic()
        self.descriptor = os.pidfd_open(self._popen.pid)
        """Readable once the process has ended."""
        self.control = pairs[0][0]
        """Readable once it has loaded the model, or failed to."""
        self.lanes = [Lane(Channel(ours)) for ours, _ in pairs]
        self.turns = ""
        """Why the model that it has loaded takes one batch at a time; empty if it takes several."""
        self.busy = 0
        """Lanes that somebody uses now; kept by the pool."""
        for ours, other in pairs:
            other.close()
            ours.settimeout(hosting.limit)
        self._tail: deque[str] = deque(maxlen=1)
        self._readers = [self._read(name) for name in ("stdout", "stderr")]
        with contextlib.suppress(EOFError):
            self.lanes[0].channel.send(load_request(hosting))

    @property
    def pid(self) -> int:
        return self._popen.pid

    def loaded(self) -> tuple[bool, bool]:
        """Whether the model answers in pieces, and as a whole; call it when ``control`` is readable.

        Raises what the engine raised on loading, InvalidPackage if the process ended instead.
        """
        try:
            told = self.lanes[0].channel.receive().head
        except (EOFError, TimeoutError):
            raise InvalidPackage(f"the engine's process {self.end()} while it loaded the model") from None
        if "fault" in told:
            self.end()
            raise restore_fault(told["fault"])
        self.turns = told["turns"]
        return bool(told["streams"]), bool(told["whole"])

    @property
    def open_lanes(self) -> Sequence[Lane]:
        """Those that batches may take."""
        return self.lanes[:1] if self.turns else self.lanes

    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def memory(self) -> int:
        """Resident bytes; 0 once it has ended."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self) -> str:
        """Wait for a moment for its end, else force it; how it ended, with its last words."""
        for lane in self.lanes:
            lane.channel.shut()
        try:
            self._popen.wait(_SETTLE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._end_descendants()
        for reader in self._readers:
            reader.join(_SETTLE)
        return _words(self._popen.returncode, self._tail[-1] if self._tail else "")

    def kill(self) -> None:
        """End it, and what it started, at once."""
        self._popen.kill()
        self._popen.wait()
        self._end_descendants()

    def _end_descendants(self) -> None:
        """What it started lives on without a parent; its environment tells where it came from."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != self.pid and process.environ().get(_MARK) == self._mark:
                    process.kill()

    def forget(self) -> None:
        """Give back the descriptors of a process that has ended."""
        for lane in self.lanes:
            lane.channel.close()
        with contextlib.suppress(OSError):
            os.close(self.descriptor)

    def _read(self, name: str) -> threading.Thread:
        stream: IO[bytes] | None = getattr(self._popen, name)
        assert stream is not None  # noqa: S101 - opened with PIPE
        thread = threading.Thread(target=self._carry, args=(stream, name), name=f"engine-{name}", daemon=True)
        thread.start()
        return thread

    def _carry(self, stream: IO[bytes], name: str) -> None:
        with stream:
            for line in _lines(stream):
                if name == "stderr" and line.strip():
                    self._tail.append(line.strip())
                OUTPUT.info(line, extra={"fields": {"stream": name, "engine_pid": self.pid}})


def _command(sockets: list[int]) -> list[str]:
    program = [sys.executable, "-P", "-X", "faulthandler", "-m", "modelserve.runtimes.isolated.host"]
    return [*program, "--parent", str(os.getpid()), "--lanes", ",".join(map(str, sockets))]


def _lines(stream: IO[bytes]) -> Iterator[str]:
    while line := stream.readline(_LONGEST_LINE):
        yield line.decode(errors="replace").rstrip("\n")


def _words(code: int, said: str) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"exited with code {code}" + (f" ({said[:300]})" if said and code else "")
