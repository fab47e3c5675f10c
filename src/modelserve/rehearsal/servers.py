"""Model servers for a rehearsal: processes of ``modelserve serve``, on free ports of this machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import IO

from modelserve.errors import Unavailable

PATIENCE = 120.0
"""Seconds until a server must answer."""
_GRACE = 10.0


class Server:
    """One version that runs."""

    def __init__(self, process: subprocess.Popen[str], url: str, package: Path) -> None:
        self._process, self.url, self.package = process, url, package

    def death(self) -> str:
        """How it ended; empty while it runs."""
        code = self._process.poll()
        return "" if code is None else f"the server of {self.package} ended with code {code}"


@contextlib.contextmanager
def serve(package: Path, name: str, *, allow_code: bool = False) -> Iterator[Server]:
    """A server of ``package`` under ``name``, until the end. Raises Unavailable if it can't be started."""
    command = [sys.executable, "-m", "modelserve", "serve", str(package), "--name", name, "--port", "0"]
    command += ["--json", *(["--allow-code"] if allow_code else [])]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)  # noqa: S603 - our own
        try:
            yield Server(process, _url(process, package, said), package)
        finally:
            _stop(process)


def _url(process: subprocess.Popen[str], package: Path, said: IO[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - opened with PIPE
    late = Timer(PATIENCE, process.kill)
    late.start()
    try:
        line = process.stdout.readline()
    finally:
        late.cancel()
    if not line:
        process.wait()
        said.seek(0)
        last = (said.read().strip().splitlines() or ["it did not say why"])[-1]
        raise Unavailable(f"{package}: the server did not start: {last[:500]}")
    return str(json.loads(line)["url"])


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    process.kill()
    with process:  # closes its pipe, and waits
        pass
