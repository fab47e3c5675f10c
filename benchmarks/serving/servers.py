"""The servers, each a process tree of its own that can be held still while others are measured."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving import venvs, wires
from benchmarks.serving.models import ROOT
from modelserve._kit.ports import free_port
from modelserve.domain.inference import Tensors

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE = 120.0
"""Seconds in which a server must answer its first request."""
_REFUSED = (400, 413, 415, 422)
"""Statuses that do not turn into 200 by waiting."""


class Endpoint:
    """Something that answers on a port. ``requests`` renders what it is asked."""

    requests: Callable[[str, Sequence[Tensors | bytes]], list[bytes]]
    port: int

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun = time.perf_counter()

    @property
    def pids(self) -> list[int]:
        """Roots of the process trees that work for an answer."""
        raise NotImplementedError

    def alive(self) -> bool:
        return True

    def log(self) -> str:
        """The end of what it said."""
        return ""

    def hold(self) -> None:
        """Stop its processes where they are, so that they take nothing from the others."""

    def resume(self) -> None:
        """Let them go on."""

    def stop(self) -> None:
        """End its processes."""

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of one answer."""
        path, head, body = _taken_apart(request)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, body, head)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def wait_until_it_answers(self, request: bytes) -> bytes:
        """The first good answer. Raises RuntimeError with what the server said if there is none."""
        said: Any = None
        while time.perf_counter() < self.begun + PATIENCE and self.alive():
            try:
                status, said = self.ask(request)
            except (OSError, http.client.HTTPException) as error:
                said = error
            else:
                if status == 200:
                    return bytes(said)
                if status in _REFUSED:
                    break
            time.sleep(0.01)
        raise RuntimeError(f"{self.name} does not answer: {said!r}\n{self.log()}")


class Server(Endpoint):
    """One running server as a process tree; ``folder`` goes with it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: dict[str, str],
        folder: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        super().__init__(name)
        self._folder = folder
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server
        self._process = subprocess.Popen(
            command,
            env=os.environ | environment,
            cwd=ROOT,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def pids(self) -> list[int]:
        return [self._process.pid]

    def alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode()

    def hold(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        for number in (signal.SIGCONT, signal.SIGTERM):
            self._signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._log.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _taken_apart(request: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first.split()[1], dict(line.split(": ", 1) for line in lines), body


@dataclass(frozen=True)
class Start:
    """What is to be served, and how it will be asked."""

    package: Path
    wire: str
    answer: int = 0
    """Bytes of an answer, for servers that only pretend."""

    @property
    def model(self) -> Path:
        return self.package / "model.onnx"


def modelserve(start: Start, name: str = "modelserve", checkout: Path = ROOT) -> Server:
    """The model server of a checkout of ModelServe, as the controller starts it, with its defaults."""
    folder = tempfile.TemporaryDirectory(prefix="modelserve-bench-")
    announce, settings = Path(folder.name) / "announce.json", Path(folder.name) / "settings.json"
    told = {"service": wires.SERVICE, "revision": f"{wires.SERVICE}-00001", "package": str(start.package)}
    settings.write_text(json.dumps({**told, "announce": str(announce)}))
    command = [sys.executable, "-m", "modelserve.serving", "--settings", str(settings)]
    server = Server(name, command, {"PYTHONPATH": str(checkout / "src")}, folder)
    server.requests = wires.modelserve
    while not announce.exists():
        if not server.alive() or time.perf_counter() > server.begun + PATIENCE:
            said = server.log()
            server.stop()
            raise RuntimeError(f"{name} does not start: {said}")
        time.sleep(0.005)
    server.port = json.loads(announce.read_text())["port"]
    return server


def _program(name: str, script: str, start: Start, python: str, *arguments: str, **more: str) -> Server:
    port = free_port()
    environment = {
        "BENCH_MODEL": str(start.model),
        "BENCH_WIRE": start.wire,
        "BENCH_PORT": str(port),
        "BENCH_ANSWER": str(start.answer),
        "PYTHONPATH": "",
        **more,
    }
    command = [python, str(PROGRAMS / script), *(each.format(port=port) for each in arguments)]
    server = Server(name, command, environment)
    server.port = port
    server.requests = lambda wire, inputs: wires.program(wire, inputs, "/infer")
    return server


def fastapi(start: Start) -> Server:
    return _program("fastapi", "fastapi_app.py", start, venvs.python("fastapi"))


def fastapi_unbatched(start: Start) -> Server:
    python = venvs.python("fastapi")
    return _program("fastapi-unbatched", "fastapi_app.py", start, python, BENCH_BATCHED="0")


def mosec(start: Start) -> Server:
    arguments = "--port", "{port}", "--address", "127.0.0.1", "--timeout", "60000", "--log-level", "error"
    server = _program("mosec", "mosec_app.py", start, venvs.python("mosec"), *arguments)
    server.requests = lambda wire, inputs: wires.program(wire, inputs, "/inference")
    return server


def litserve(start: Start) -> Server:
    server = _program("litserve", "litserve_app.py", start, venvs.python("litserve"))
    server.requests = lambda wire, inputs: wires.form(wire, inputs, "/infer")
    return server


def echo(start: Start) -> Server:
    """uvicorn alone, asked exactly what ModelServe is asked."""
    server = _program("echo", "echo_app.py", start, sys.executable)
    server.requests = wires.modelserve
    return server


SERVERS: dict[str, Callable[[Start], Server]] = {
    "modelserve": modelserve,
    "fastapi": fastapi,
    "fastapi-unbatched": fastapi_unbatched,
    "mosec": mosec,
    "litserve": litserve,
    "echo": echo,
}
BEFORE = "before"
"""What another checkout's server is called beside this one's."""
PEERS = ("fastapi", "fastapi-unbatched", "mosec", "litserve")
