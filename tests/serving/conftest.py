"""A model that does as its input says, servers around it in this process, and real server processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
import uvicorn
from onnx import TensorProto, helper

from modelserve.batching.cost import CostModel
from modelserve.batching.sharing import TOGETHER
from modelserve.domain.inference import DataType, Entity, Signature, Tensors, TensorSpec
from modelserve.domain.models import ModelPackage
from modelserve.domain.models import Task as TaskName
from modelserve.errors import InvalidInput
from modelserve.serving import starting
from modelserve.serving.answers import AnswerLog
from modelserve.serving.app import create_app
from modelserve.serving.catalogue import OneModel
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.inference import Instruments
from modelserve.serving.listening import bind
from modelserve.serving.logs import EventLog
from modelserve.serving.repository import Repository
from modelserve.serving.served import Loaded, Served
from modelserve.settings import ServerSettings
from modelserve.telemetry import ServerTelemetry

FINE, FAIL, GIVE_NAN, WAIT = 0.0, -1.0, -2.0, -3.0


class ObedientModel:
    """Doubles its input. The first column is an order: fail, give NaN, or wait at the gate."""

    steady = False

    def __init__(self, tokens: bool = False) -> None:
        shape = (-1, -1) if tokens else (-1, 2)
        pad = 0 if tokens else None
        self.signature = Signature(
            (TensorSpec("x", DataType.FP32, shape, pad),), (TensorSpec("y", DataType.FP32, shape),)
        )
        self.gate = threading.Event()
        self.entered = threading.Event()
        """Set when somebody waits at the gate."""
        self.rows: list[int] = []
        """Rows of each run."""
        self.seen: list[float] = []
        """Last column of every row that ran, in order."""
        self.closed = False

    def predict(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        x = tensors["x"]
        orders = set(x[:, 0].tolist())
        if WAIT in orders:
            self.entered.set()
            assert self.gate.wait(30)
        self.rows.append(len(x))
        self.seen.extend(x[:, -1].tolist())
        if FAIL in orders:
            raise RuntimeError("secret path /models/x")
        y = x * 2
        y[x[:, 0] == GIVE_NAN] = np.nan
        return {"y": y}

    def close(self) -> None:
        self.closed = True


class Panic(BaseException):
    """As libraries written in Rust raise it: it is no Exception."""


class LetterTask:
    """A text's code points become the tokens; every capital letter is an entity."""

    def prepare(self, item: str | bytes) -> tuple[Tensors, Any]:
        if item == "refuse":
            raise InvalidInput('text: got "refuse"; send another')
        if item == "defect":
            raise ZeroDivisionError("secret")
        if item == "panic":
            raise Panic("secret")
        codes = [[FINE, *(float(ord(letter)) for letter in str(item))]]
        return {"x": np.array(codes, np.float32)}, item

    def finish(self, outputs: Tensors, context: Any) -> tuple[Entity, ...]:
        assert outputs["y"].shape == (1, len(context) + 1), "padding came back"
        assert outputs["y"][0, 1:].tolist() == [2.0 * ord(letter) for letter in context], "swapped"
        return tuple(
            Entity(letter, "CAPITAL", 1.0, place, place + 1)
            for place, letter in enumerate(context)
            if letter.isupper()
        )


@dataclass
class Server:
    """A server in this process: the application and everything behind it that a test looks at."""

    settings: ServerSettings
    model: ObedientModel
    loaded: Loaded
    telemetry: ServerTelemetry
    answers: AnswerLog
    plane: Dataplane
    instruments: Instruments
    app: Any
    log: Path
    client: httpx.AsyncClient = field(init=False)

    async def infer(self, *rows: list[float], headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.client.post("/v2/models/m/infer", json=infer_body(*rows), headers=headers)

    async def seen(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds, which another thread or the other side of a socket brings about."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def figures(self, arm: str = "stable") -> dict[str, Any]:
        found: dict[str, Any] = self.telemetry.own.figures()["arms"][arm]
        return found


def infer_body(*rows: list[float]) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": list(rows)}
    return {"inputs": [tensor]}


Factory = Callable[..., Any]


def _itself(model: Any) -> Any:
    return model


@pytest.fixture
def serve(tmp_path: Path) -> Factory:
    """``async with serve(task=..., ready=..., **settings) as server``: a server called over ASGI."""

    @asynccontextmanager
    async def make(
        *,
        text: bool = False,
        ready: bool = True,
        deterministic: bool = True,
        wrap: Callable[[Any], Any] = _itself,
        **changes: Any,
    ) -> AsyncIterator[Server]:
        settings = ServerSettings.model_validate(
            {"service": "m", "revision": "m-00001", "package": tmp_path, "threads": 1, **changes}
        )
        model = ObedientModel(tokens=text)
        task = TaskName.TOKEN_CLASSIFICATION if text else TaskName.TENSOR
        package = ModelPackage(
            tmp_path, "0" * 64, "test", task, tmp_path / "model", model.signature, deterministic=deterministic
        )
        telemetry = ServerTelemetry("m", "m-00001", "e" * 32)
        path = tmp_path / "log"
        with path.open("wb") as file:
            log = EventLog(file.fileno(), service="m", revision="m-00001")
            loaded = Loaded(package, wrap(model), LetterTask() if text else None, sharing=TOGETHER)
            starter = starting.Starter(settings, telemetry, log, lambda _: loaded)

            async def start(name: str, version: str, package: Path) -> Served:
                return starter.serve(settings, loaded, CostModel())

            catalogue = OneModel("m", "m-00001", tmp_path)
            plane = Dataplane(Repository(catalogue, start, on_demand=False))
            answers = AnswerLog(settings.answers_kept, "e" * 32)
            instruments = Instruments(telemetry, answers, log)
            app = create_app(settings, plane, instruments)
            server = Server(settings, model, loaded, telemetry, answers, plane, instruments, app, path)
            if ready:
                await plane.repository.load("m")
                plane.started = True
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://m") as server.client:
                yield server
            model.gate.set()
            await starter.close()
            assert await plane.close()

    return make


@pytest.fixture
def over_tcp() -> Factory:
    """``async with over_tcp(server) as url``: the same application behind a real socket."""

    @asynccontextmanager
    async def make(server: Server) -> AsyncIterator[str]:
        listener = bind("127.0.0.1", 0)
        config = uvicorn.Config(server.app, http="httptools", lifespan="off", log_config=None)
        http = uvicorn.Server(config)
        task = asyncio.create_task(http._serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.model.gate.set()
        http.should_exit = True
        await task

    return make


@pytest.fixture(scope="session")
def onnx_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``double`` answers 2x in microseconds; ``slow`` does so after some ten milliseconds of work."""
    folder = tmp_path_factory.mktemp("onnx")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    double = [helper.make_node("Add", ["x", "x"], ["y"])]
    work = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Add", ["weights", "sum"], ["a"]),
        helper.make_node("MatMul", ["a", "a"], ["b"]),
        helper.make_node("ReduceSum", ["b"], ["c"], keepdims=0),
        helper.make_node("Mul", ["c", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["x2"]),
        helper.make_node("Add", ["x", "x2"], ["y"]),
    ]
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [600, 600], np.zeros(360_000))
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    paths = {}
    for name, nodes, given in (("double", double, []), ("slow", work, [weights, zero])):
        graph = helper.make_graph(nodes, name, [x], [y], initializer=given)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        paths[name] = folder / f"{name}.onnx"
        onnx.save(model, paths[name])
    return paths


class Process:
    """A model server as a real process."""

    def __init__(self, folder: Path, package: Path, **changes: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.announce, self.log = folder / "announce.json", folder / "log"
        settings = {
            "service": "m", "revision": "m-00001", "package": str(package), "announce": str(self.announce),
        }  # fmt: skip
        path = folder / "settings.json"
        path.write_text(json.dumps(settings | changes))
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "modelserve.serving", "--settings", str(path)]
            self.process = subprocess.Popen(command, stderr=log)

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.announce.read_text()))

    def url(self) -> str:
        self.until(self.announce.exists, "the server has announced itself")
        return f"http://127.0.0.1:{self.told['port']}"

    def ready(self) -> str:
        url = self.url()
        self.until(lambda: self.get("/v2/health/ready") == 200, "the server is ready")
        return url

    def get(self, path: str) -> int:
        try:
            return httpx.get(f"{self.url()}{path}", timeout=5).status_code
        except httpx.TransportError:
            return 0

    def until(self, condition: Callable[[], bool], description: str, timeout: float = 30.0) -> None:
        until = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None or condition(), f"{description}: {self.log.read_text()}"
            assert time.monotonic() < until, f"waited in vain: {description}: {self.log.read_text()}"
            time.sleep(0.01)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


Starter = Callable[..., Process]


def processes(folder: Path) -> Iterator[Starter]:
    """A starter of server processes; they are gone when it is closed."""
    started: list[Process] = []

    def start(package: Path, **changes: Any) -> Process:
        started.append(Process(folder / f"server-{len(started)}", package, **changes))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """``start(package, **settings)`` starts a server process for one test."""
    yield from processes(tmp_path)


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """The same for all tests of a module."""
    yield from processes(tmp_path_factory.mktemp("servers"))
