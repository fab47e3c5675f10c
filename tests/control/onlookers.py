"""Those who would see if a program of ours told anybody of its users, and a user for them to look at."""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


class Proxy(socketserver.ThreadingTCPServer):
    """The way out of the machine, for whoever asks the environment for it; it hears and answers nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Hearing)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Hearing(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        self.server.heard.append(self.request.recv(4096))


@contextmanager
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def connections(folder: Path) -> Iterator[set[str]]:
    """To whom beyond this machine processes that work in ``folder`` or were told of it are connected."""
    found: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            for process in psutil.process_iter():
                try:
                    if str(folder) in " ".join([*process.cmdline(), process.cwd()]):
                        found.update(f"{process.name()}: {far}" for far in _far(process))
                except psutil.Error:
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _far(process: psutil.Process) -> list[str]:
    remotes = [each.raddr.ip for each in process.net_connections("inet") if each.raddr]
    return [each for each in remotes if not ip_address(each.removeprefix("::ffff:")).is_loopback]


class User:
    """Somebody with empty folders, who even set telemetry on.

    Of the tests' own environment they have only what finds the programs: ONNX Runtime knows CI servers by
    their variables, and is quiet there by itself.
    """

    def __init__(self, folder: Path, way_out: str) -> None:
        self.folder, self.home = folder, folder / "home"
        self.given = folder / "given"
        """Where they work: what they wrote, and what they asked us to write."""
        for name in ("user", "tmp", "given"):
            (folder / name).mkdir()
        ways = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), way_out)
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            **ways,
            **{name.lower(): url for name, url in ways.items()},
            "HOME": str(folder / "user"),
            "MODELSERVE_HOME": str(self.home),
            "ORT_DISABLE_TELEMETRY": "0",
            "PYTHONDONTWRITEBYTECODE": "1",  # Python's own, beside the sources
            "PYTHONPATH": os.pathsep.join([str(self.given), str(ROOT / "src"), str(ROOT)]),
            "TMPDIR": str(folder / "tmp"),
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.given,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """What it printed."""
        process = self.start(*command)
        out, err = process.communicate(timeout=110)
        assert process.returncode in codes, f"{command}: {process.returncode}\n{out}\n{err}"
        return out

    def left(self) -> list[Path]:
        """Files and folders outside of our home and of where they work."""
        ours = (self.home, self.given)
        below = (path for path in self.folder.rglob("*") if path.parent != self.folder)
        return [path for path in below if not any(path.is_relative_to(place) for place in ours)]
