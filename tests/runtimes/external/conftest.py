"""Another server, scripted: what it answers and when, and what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelserve.domain.models import Allowed
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.runtimes.base import Model
from modelserve.runtimes.external import describe

X = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
T = {"name": "t", "datatype": "BYTES", "shape": [-1]}
METADATA = {
    "name": "double",
    "versions": ["3"],
    "platform": "somebody_else",
    "inputs": [X, T],
    "outputs": [X | {"name": "y"}, T | {"name": "s"}],
}


class Remote:
    """Doubles ``x`` and gives ``t`` back, in JSON or raw, unless ``scripted`` says otherwise."""

    def __init__(self) -> None:
        self.metadata: Any = METADATA
        self.extensions: list[str] = []
        self.ready = True
        self.words = b""
        """What it says on its readiness."""
        self.gone = False
        self.scripted: tuple[int, dict[str, str], bytes] | None = None
        self.hang = threading.Event()
        self.hang.set()
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        remote = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            log_message = staticmethod(lambda *_: None)

            def do_GET(self) -> None:
                self._send(*remote.told(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                remote.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                remote.hang.wait(20)
                if remote.gone:
                    self.close_connection = True
                    return
                self._send(*(remote.scripted or remote.inferred(body, dict(self.headers))))

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v2/models/double"

    def told(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/v2":
            return 200, {}, json.dumps({"name": "remote", "extensions": self.extensions}).encode()
        if path.endswith("/ready"):
            return (200 if self.ready else 503), {}, self.words
        return 200, {}, json.dumps(self.metadata).encode()

    def inferred(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        length = int(headers.get("inference-header-content-length", len(body)))
        asked, tail, raw = json.loads(body[:length]), body[length:], length < len(body)
        wanted = [each["name"] for each in asked.get("outputs", [])] or ["y", "s"]
        entries: dict[str, Any] = {}
        parts: list[bytes] = []
        for entry in asked["inputs"]:
            name = {"x": "y", "t": "s"}[entry["name"]]
            told = {"name": name, "datatype": entry["datatype"], "shape": entry["shape"]}
            if raw:
                size = entry["parameters"]["binary_data_size"]
                data, tail = tail[:size], tail[size:]
                data = (2 * np.frombuffer(data, np.float32)).tobytes() if name == "y" else data
                told["parameters"] = {"binary_data_size": len(data)}
                if name in wanted:
                    parts.append(data)
            else:
                told["data"] = [2 * each for each in entry["data"]] if name == "y" else entry["data"]
            entries[name] = told
        text = json.dumps({"model_name": "double", "outputs": [e for n, e in entries.items() if n in wanted]})
        head = {"inference-header-content-length": str(len(text))} if raw else {}
        return 200, head, text.encode() + b"".join(parts)


@pytest.fixture
def remote() -> Iterator[Remote]:
    scripted = Remote()
    yield scripted
    scripted.hang.set()
    scripted.server.shutdown()
    scripted.server.server_close()


@pytest.fixture
def refer(tmp_path: Path, remote: Remote) -> Iterator[Callable[[], Model]]:
    """``refer()``: the remote's model, through a package that refers to it."""
    made: list[Model] = []

    def load() -> Model:
        (tmp_path / "external.json").write_bytes(describe(remote.url, Allowed()))
        made.append(runtime_for("external").load(open_package(tmp_path)))
        return made[-1]

    yield load
    for model in made:
        model.close()
