"""HTTP over a Unix socket, for administration interfaces that only this machine may reach."""

from __future__ import annotations

import asyncio
import http.client
import socket
from pathlib import Path


class UnixHttp:
    """One short connection for every request, so that a server that was restarted is no surprise."""

    def __init__(self, path: Path, *, timeout: float = 2.0) -> None:
        """``timeout``: seconds for each step of a request (connect, write, read)."""
        self.path = path
        self.timeout = timeout

    @property
    def generation(self) -> str:
        """Another text for every server that binds the socket; empty while there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return ""
        return f"{status.st_ino}-{status.st_mtime_ns}"

    async def get(self, target: str) -> str:
        """The body of a 200. Raises ConnectionError for everything else."""
        return await asyncio.to_thread(self._ask, "GET", target)

    async def post(self, target: str) -> str:
        """As ``get``."""
        return await asyncio.to_thread(self._ask, "POST", target)

    def _ask(self, method: str, target: str) -> str:
        connection = _Connection(self.path, self.timeout)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ConnectionError(f"{method} {target} at {self.path} failed: {error!r}") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"{method} {target} at {self.path} gave {answer.status}: {text[:200]}")
        return text


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
