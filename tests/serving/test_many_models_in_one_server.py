"""Many models in one server ..."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import onnx
import pytest
from onnx import TensorProto, helper

from modelserve.serving import repository, starting
from modelserve.serving.answers import AnswerLog
from modelserve.serving.app import create_app
from modelserve.serving.catalogue import RepositoryFolder
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.inference import Instruments
from modelserve.serving.loading import load
from modelserve.serving.logs import EventLog
from modelserve.serving.memory import resident
from modelserve.serving.repository import Repository
from modelserve.serving.served import Loaded
from modelserve.settings import ServerSettings
from modelserve.telemetry import ServerTelemetry

ROWS = [[1.0, 2.0]]
BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": ROWS}]}


def save(path: Path, factor: float, megabytes: int = 0) -> Path:
    """A model that multiplies by ``factor``, with so many megabytes of weights that do nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    given = [helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])]
    nodes = [helper.make_node("Mul", ["x", "factor"], ["times" if megabytes else "y"])]
    if megabytes:
        weights = bytes(range(256)) * (megabytes * 2**12)
        given += [
            helper.make_tensor("weights", TensorProto.FLOAT, [megabytes * 2**18], weights, raw=True),
            helper.make_tensor("zeros", TensorProto.INT64, [1], [0]),
            helper.make_tensor("nil", TensorProto.FLOAT, [], [0.0]),
        ]
        nodes += [
            helper.make_node("Cast", ["times"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Mul", ["whole", "zeros"], ["first"]),
            helper.make_node("Gather", ["weights", "first"], ["weight"]),
            helper.make_node("Mul", ["weight", "nil"], ["nothing"]),
            helper.make_node("Add", ["times", "nothing"], ["y"]),
        ]
    graph = helper.make_graph(nodes, "times", [x], [y], initializer=given)
    partial = path.with_suffix(".partial")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), partial)
    partial.rename(path)
    return path


def given(answer: httpx.Response) -> list[float]:
    assert answer.status_code == 200, answer.text
    data: list[float] = answer.json()["outputs"][0]["data"]
    return data


@dataclass
class Many:
    """A server of a repository in this process; loads are counted, and wait while the gate is shut."""

    folder: Path
    plane: Dataplane
    client: httpx.AsyncClient
    loads: Counter[str]
    gate: threading.Event
    telemetry: ServerTelemetry

    async def ask(self, name: str, **how: Any) -> httpx.Response:
        return await self.client.post(f"/v2/models/{quote(name)}/infer", json=BODY, **how)

    async def change(self, name: str, what: str) -> httpx.Response:
        return await self.client.post(f"/v2/repository/models/{quote(name)}/{what}")

    async def index(self, **body: Any) -> list[tuple[str, str, str]]:
        answer = await self.client.post("/v2/repository/index", json=body)
        assert answer.status_code == 200, answer.text
        return [(each["name"], each["version"], each["state"]) for each in answer.json()]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
def many(tmp_path: Path) -> Any:
    @asynccontextmanager
    async def make(budget: int | None = None, **changes: Any) -> AsyncIterator[Many]:
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        settings = ServerSettings.model_validate(
            {"service": "modelserve", "revision": "1", "repository": folder, "threads": 1, **changes}
        )
        telemetry, loads, gate = (
            ServerTelemetry("modelserve", "1", "e" * 32),
            Counter[str](),
            threading.Event(),
        )
        gate.set()

        def counted(settings: ServerSettings) -> Loaded:
            loads[settings.service] += 1
            assert gate.wait(30)
            return load(settings)

        with (tmp_path / "log").open("wb") as file:
            log = EventLog(file.fileno())
            starter = starting.Starter(settings, telemetry, log, counted)
            plane = Dataplane(Repository(RepositoryFolder(folder), starter, budget=budget))
            plane.started = True
            instruments = Instruments(telemetry, AnswerLog(10, "e" * 32), log)
            transport = httpx.ASGITransport(create_app(settings, plane, instruments))
            async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
                yield Many(folder, plane, client, loads, gate, telemetry)
            gate.set()
            await starter.close()
            await plane.close()

    return make


async def test_are_loaded_at_the_first_call_and_once_for_all_who_ask(many: Any) -> None:
    async with many() as server:
        save(server.folder / "double.onnx", 2)
        save(server.folder / "triple" / "model.onnx", 3)
        assert await server.index() == [("double", "1", "UNAVAILABLE"), ("triple", "1", "UNAVAILABLE")]
        assert (await server.client.get("/v2/health/ready")).status_code == 200
        server.gate.clear()
        calls = [asyncio.create_task(server.ask("double")) for _ in range(50)]
        await server.until(lambda: server.loads["double"] == 1)
        assert ("double", "1", "LOADING") in await server.index()
        server.gate.set()
        answers = await asyncio.gather(*calls)
        assert {tuple(given(answer)) for answer in answers} == {(2.0, 4.0)}
        assert given(await server.ask("triple")) == [3.0, 6.0]
        assert server.loads == {"double": 1, "triple": 1}
        assert await server.index(ready=True) == [("double", "1", "READY"), ("triple", "1", "READY")]
        assert answers[0].headers["x-modelserve-service"] == "double"


async def test_keep_a_caller_waiting_no_longer_than_its_deadline(many: Any) -> None:
    async with many() as server:
        save(server.folder / "m.onnx", 2)
        server.gate.clear()
        patient = asyncio.create_task(server.ask("m"))
        hasty = await server.ask("m", headers={"x-modelserve-timeout-ms": "50"})
        assert (hasty.status_code, hasty.json()["code"]) == (504, "deadline_exceeded")
        gone = asyncio.create_task(server.ask("m"))
        await asyncio.sleep(0)
        gone.cancel()
        server.gate.set()
        assert given(await patient) == [2.0, 4.0]
        (served,) = server.plane.repository.served()
        assert served.in_flight == 0
        assert server.loads["m"] == 1


async def test_are_all_loaded_though_every_caller_of_one_gave_up(many: Any) -> None:
    async with many() as server:
        save(server.folder / "m.onnx", 2)
        server.gate.clear()
        assert (await server.ask("m", headers={"x-modelserve-timeout-ms": "20"})).status_code == 504
        server.gate.set()
        assert given(await server.ask("m")) == [2.0, 4.0]
        assert server.loads["m"] == 1


async def test_do_not_suffer_from_one_that_can_not_be_loaded(
    many: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with many() as server:
        save(server.folder / "good.onnx", 2)
        (server.folder / "bad.onnx").write_bytes(b"\x08nonsense")
        bad = await server.ask("bad")
        assert (bad.status_code, bad.json()["code"]) == (503, "unavailable")
        assert "bad" in bad.json()["error"]
        assert (await server.ask("bad")).json() == bad.json(), "told again, not tried again"
        assert server.loads["bad"] == 1
        assert (await server.change("bad", "load")).status_code == 422
        assert given(await server.ask("good")) == [2.0, 4.0]
        assert (await server.client.get("/v2/health/ready")).status_code == 200
        save(server.folder / "bad.onnx", 5)
        assert (await server.change("bad", "load")).json()["state"] == "READY"
        assert given(await server.ask("bad")) == [5.0, 10.0]
        (server.folder / "later.onnx").write_bytes(b"\x08nonsense")
        assert (await server.ask("later")).status_code == 503
        save(server.folder / "later.onnx", 7)
        monkeypatch.setattr(repository.time, "monotonic", lambda now=repository.time.monotonic: now() + 11)
        assert given(await server.ask("later")) == [7.0, 14.0], "tried again after a while"


async def test_keep_the_old_one_if_its_reload_fails(many: Any) -> None:
    async with many() as server:
        save(server.folder / "m" / "1" / "model.onnx", 2)
        assert given(await server.ask("m")) == [2.0, 4.0]
        (server.folder / "m" / "1" / "model.onnx").write_bytes(b"\x08nonsense")
        assert (await server.change("m", "load")).status_code == 422
        assert given(await server.ask("m")) == [2.0, 4.0]
        (entry,) = server.plane.repository.index()
        assert (entry.state, bool(entry.reason)) == ("READY", True)


async def test_come_in_versions_of_which_the_highest_is_loaded(many: Any) -> None:
    async with many() as server:
        for version in (2, 9, 10):
            save(server.folder / "m" / str(version) / "model.onnx", version)
        (server.folder / "m" / "²").mkdir()
        answer = await server.ask("m")
        assert (given(answer), answer.headers["x-modelserve-revision"]) == ([10.0, 20.0], "10")
        pinned = await server.client.post("/v2/models/m/versions/9/infer", json=BODY)
        assert given(pinned) == [9.0, 18.0]
        unknown = await server.client.post("/v2/models/m/versions/3/infer", json=BODY)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_revision")
        assert '"2", "9", "10"' in unknown.json()["error"]
        assert [each[1] for each in await server.index(ready=True)] == ["10", "9"]


async def test_go_on_with_a_version_until_a_load_takes_up_the_next(many: Any) -> None:
    async with many() as server:
        save(server.folder / "m" / "1" / "model.onnx", 1)
        save(server.folder / "other.onnx", 3)
        assert given(await server.ask("m")) == [1.0, 2.0]
        save(server.folder / "m" / "2" / "model.onnx", 2)
        assert given(await server.ask("other")) == [3.0, 6.0]
        assert given(await server.ask("m")) == [1.0, 2.0], "not because something else was loaded"
        assert (await server.change("m", "load")).json()["version"] == "2"
        assert given(await server.ask("m")) == [2.0, 4.0]
        await server.until(lambda: len(list(server.plane.repository.served())) == 2)
        pinned = await server.client.post("/v2/models/m/versions/1/infer", json=BODY)
        assert given(pinned) == [1.0, 2.0]
        assert given(await server.ask("m")) == [2.0, 4.0]


async def test_can_leave_the_folder_while_they_are_in_memory(many: Any) -> None:
    async with many() as server:
        gone, stays = save(server.folder / "gone.onnx", 2), save(server.folder / "stays.onnx", 3)
        assert given(await server.ask("gone")) == [2.0, 4.0]
        gone.unlink()
        assert given(await server.ask("stays")) == [3.0, 6.0]
        assert given(await server.ask("gone")) == [2.0, 4.0]
        assert (await server.change("gone", "unload")).status_code == 200
        assert (await server.ask("gone")).status_code == 404
        assert [each[0] for each in await server.index()] == [stays.stem]
        assert (await server.change("gone", "unload")).status_code == 404
        for _ in range(100):
            await server.client.post("/v2/models/stays/versions/7/infer", json=BODY)
        assert len(server.plane.repository._entries) == 1


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "../secret", "/etc", "%2e%2e", "m.onnx", ".hidden", "\x00"]
)
async def test_do_not_let_a_name_leave_the_folder(many: Any, name: str) -> None:
    async with many() as server:
        save(server.folder.parent / "secret" / "model.onnx", 9)
        save(server.folder / "m.onnx", 2)
        save(server.folder / ".hidden" / "model.onnx", 2)
        for path in (
            f"/v2/models/{quote(name, safe='')}/infer",
            f"/v2/repository/models/{quote(name, safe='')}/load",
        ):
            answer = await server.client.post(path, json=BODY)
            assert answer.status_code in (404, 405), path
        assert not server.loads
        with pytest.raises(Exception, match="this server has"):
            await server.plane.load(name)


@pytest.mark.parametrize("name", ["with space", "a:b", "modèle", "ß+1", "100%", "x" * 200, "-f", "{model}"])
async def test_may_have_odd_names(many: Any, name: str) -> None:
    async with many() as server:
        save(server.folder / name / "model.onnx", 2)
        answer = await server.ask(name)
        assert given(answer) == [2.0, 4.0]
        assert answer.json()["model_name"] == name
        assert (await server.change(name, "load")).json()["name"] == name
        assert (await server.client.get(f"/v2/models/{quote(name)}/ready")).json()["name"] == name
        assert (await server.index()) == [(name, "1", "READY")]
        assert (await server.client.get("/metrics")).status_code == 200


async def test_whose_names_can_not_be_said_are_none(many: Any) -> None:
    async with many() as server:
        for name in (b"two\nlines", b"\xff\xfe"):
            (server.folder / os.fsdecode(name)).mkdir()
        assert await server.index() == []
        assert (await server.client.get("/v1/models")).json() == {"models": []}


async def test_are_ready_when_they_are_in_memory(many: Any) -> None:
    async with many() as server:
        save(server.folder / "m.onnx", 2)
        asleep = await server.client.get("/v2/models/m/ready")
        assert (asleep.status_code, asleep.json()["code"]) == (503, "not_ready")
        assert "the first call" in asleep.json()["error"]
        assert (await server.client.get("/v2/models/other/ready")).status_code == 404
        assert given(await server.ask("m")) == [2.0, 4.0]
        assert (await server.client.get("/v2/models/m/ready")).status_code == 200
        server.plane.draining = True
        assert (await server.client.get("/v2/models/m/ready")).status_code == 503
        assert (await server.index(ready=True)) == []


async def test_are_counted_each_for_itself(many: Any) -> None:
    async with many() as server:
        save(server.folder / "a.onnx", 2)
        save(server.folder / "b.onnx", 3)
        for name in ("a", "a", "b", "nobody"):
            await server.ask(name)
        text = (await server.client.get("/metrics")).text
        counted = (
            'modelserve_requests_total{{arm="stable",code="{}",protocol="oip",revision="1",service="{}"}} {}'
        )
        for line in ((200, "a", 2.0), (200, "b", 1.0), (404, "modelserve", 1.0)):
            assert counted.format(*line) in text


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ready": 1}', b'"x"'])
async def test_are_not_listed_for_a_bad_question(many: Any, body: bytes) -> None:
    async with many() as server:
        answer = await server.client.post("/v2/repository/index", content=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_are_loaded_as_they_lie_there(many: Any) -> None:
    async with many() as server:
        save(server.folder / "m.onnx", 2)
        for parameters in ({"config": "{}"}, {"file:1/model.onnx": "x"}, []):
            answer = await server.client.post("/v2/repository/models/m/load", json={"parameters": parameters})
            assert answer.status_code == 400
        large = await server.client.post("/v2/repository/models/m/load", content=b" " * 70_000)
        assert large.status_code == 413


async def test_finish_their_calls_before_they_go(many: Any) -> None:
    """A call whose body is still on its way holds the model that it found."""
    async with many() as server:
        save(server.folder / "m.onnx", 2)
        assert given(await server.ask("m")) == [2.0, 4.0]
        more = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            text = httpx.Request("POST", "http://m", json=BODY).content
            yield text[:10]
            await more.wait()
            yield text[10:]

        (served,) = server.plane.repository.served()
        call = asyncio.create_task(server.client.post("/v2/models/m/infer", content=slowly()))
        await server.until(lambda: served.in_flight == 1)
        unload = asyncio.create_task(server.change("m", "unload"))
        await server.until(lambda: not list(server.plane.repository.served()))
        assert await server.index() == [("m", "1", "UNLOADING")]
        assert not unload.done()
        more.set()
        assert given(await call) == [2.0, 4.0]
        assert (await unload).status_code == 200
        assert await server.index() == [("m", "1", "UNAVAILABLE")]


async def test_lose_no_call_while_two_take_turns_in_memory_for_one(many: Any) -> None:
    """The budget holds either, never both, and all callers come at the same time."""
    async with many(budget=1) as server:
        server.plane.repository._budget = 10 * 2**20
        sizes = iter(range(0, 10**12, 8 * 2**20))
        original = repository.settled
        repository.settled = lambda: next(sizes)  # type: ignore[assignment]
        try:
            for name in ("a", "b"):
                save(server.folder / f"{name}.onnx", 2)
            answers = await asyncio.gather(*(server.ask(name) for name in "ab" * 20))
            assert {tuple(given(answer)) for answer in answers} == {(2.0, 4.0)}
            for name in "abab":
                assert given(await server.ask(name)) == [2.0, 4.0]
        finally:
            repository.settled = original
        assert server.plane.repository.evictions >= 4
        assert len(list(server.plane.repository.served())) == 1


async def test_are_closed_with_the_server_though_one_is_being_loaded(many: Any) -> None:
    async with many() as server:
        save(server.folder / "a.onnx", 2)
        save(server.folder / "b.onnx", 2)
        assert given(await server.ask("a")) == [2.0, 4.0]
        server.gate.clear()
        call = asyncio.create_task(server.ask("b"))
        await server.until(lambda: server.loads["b"] == 1)
        assert await server.plane.close() is False, "the load can't be interrupted"
        assert (await call).status_code == 503
        assert (await server.ask("b")).status_code == 503


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heavy")
    for factor, name in enumerate(("a", "b", "c"), 1):
        save(folder / f"{name}.onnx", factor, megabytes=30)
    save(folder / "huge.onnx", 4, megabytes=90)
    save(folder / "tiny.onnx", 5)
    return folder


def test_share_a_budget_of_memory(heavy: Path, start: Any) -> None:
    """The longest unused goes, its memory comes back, and one that is too large for all of it is refused."""
    server = start(
        Path(),
        service="modelserve",
        revision="1",
        repository=str(heavy),
        memory_budget=80 * 2**20,
        threads=1,
    )
    url = server.ready()

    def ask(name: str) -> httpx.Response:
        return httpx.post(f"{url}/v2/models/{name}/infer", json=BODY, timeout=60)

    def loaded() -> set[str]:
        index = httpx.post(f"{url}/v2/repository/index", json={"ready": True}).json()
        return {each["name"] for each in index}

    assert given(ask("tiny")) == [5.0, 10.0]  # the engine counts as its
    assert given(ask("a")) == [1.0, 2.0]
    assert given(ask("b")) == [2.0, 4.0]
    with_two = resident(server.told["pid"])
    assert loaded() == {"a", "b"}
    assert given(ask("a")) == [1.0, 2.0]
    assert given(ask("c")) == [3.0, 6.0]
    assert loaded() == {"a", "c"}
    for name in "bca":
        assert ask(name).status_code == 200
    assert loaded() == {"a", "c"}
    assert resident(server.told["pid"]) < with_two + 20 * 2**20, "what was let go of came back"
    huge = ask("huge")
    assert (huge.status_code, "raise the memory budget" in huge.json()["error"]) == (503, True), huge.text
    for name in "ac":
        assert httpx.post(f"{url}/v2/repository/models/{name}/unload").status_code == 200
    assert resident(server.told["pid"]) < with_two - 40 * 2**20
    assert given(ask("a")) == [1.0, 2.0]


class Asker(threading.Thread):
    """Asks over one connection until it is told to stop; counts what came back."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.over, self.seen = url, threading.Event(), Counter[Any]()

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self.over.is_set():
                try:
                    answer = client.post(self.url, json=BODY)
                    told = (
                        answer.json()["outputs"][0]["data"][0] if answer.status_code == 200 else answer.text
                    )
                except httpx.TransportError as error:
                    told = repr(error)
                self.seen[told] += 1


@pytest.fixture
def process(tmp_path: Path, start: Any) -> Any:
    """A server process of a repository with model ``m`` in version 1, and its addresses."""
    save(tmp_path / "models" / "m" / "1" / "model.onnx", 1)
    server = start(
        Path(),
        service="modelserve",
        revision="1",
        repository=str(tmp_path / "models"),
        threads=1,
        grpc_port=0,
    )
    return server, server.ready(), f"127.0.0.1:{server.told['grpc_port']}"


def test_are_loaded_unloaded_and_replaced_without_a_lost_call(process: Any, tmp_path: Path) -> None:
    server, url, _ = process
    askers = [Asker(f"{url}/v2/models/m/infer") for _ in range(3)]
    for asker in askers:
        asker.start()

    def everybody_saw(factor: float) -> bool:
        return all(asker.seen[factor] for asker in askers)

    server.until(lambda: everybody_saw(1.0), "the first version answers")
    for version in range(2, 5):
        save(tmp_path / "models" / "m" / str(version) / "model.onnx", version)
        assert httpx.post(f"{url}/v2/repository/models/m/load", timeout=30).json()["version"] == str(version)
        server.until(lambda new=version: everybody_saw(float(new)), f"version {version} answers")
        assert httpx.post(f"{url}/v2/repository/models/m/unload", timeout=30).status_code == 200
    for asker in askers:
        asker.over.set()
        asker.join()
    assert {told for asker in askers for told in asker.seen} == {1.0, 2.0, 3.0, 4.0}


def test_are_managed_by_tritons_client_over_http(process: Any) -> None:
    triton = pytest.importorskip("tritonclient.http")
    _, url, _ = process
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "model_repository"]
        assert not client.is_model_ready("m")
        client.load_model("m")
        assert client.is_model_ready("m")
        assert client.get_model_repository_index() == [
            {"name": "m", "version": "1", "state": "READY", "reason": ""}
        ]
        client.unload_model("m")
        assert not client.is_model_ready("m")
        with pytest.raises(triton.InferenceServerException, match='this server has "m"'):
            client.load_model("other")
        with pytest.raises(triton.InferenceServerException, match="what lies in its repository"):
            client.load_model("m", config="{}")


def test_are_managed_by_tritons_client_over_grpc(process: Any) -> None:
    triton = pytest.importorskip("tritonclient.grpc")
    _, _, address = process
    with triton.InferenceServerClient(address) as client:
        assert client.get_server_metadata().extensions == ["model_repository"]
        assert not client.is_model_ready("m")
        client.load_model("m")
        assert client.is_model_ready("m")
        (model,) = client.get_model_repository_index().models
        assert (model.name, model.version, model.state) == ("m", "1", "READY")
        client.unload_model("m")
        assert not client.is_model_ready("m")
        with pytest.raises(triton.InferenceServerException, match="NOT_FOUND"):
            client.unload_model("other")
        with pytest.raises(triton.InferenceServerException, match="what lies in its repository"):
            client.load_model("m", config="{}")


async def test_are_not_what_a_server_of_one_revision_has(serve: Any) -> None:
    async with serve() as server:
        for what in ("load", "unload"):
            answer = await server.client.post(f"/v2/repository/models/m/{what}")
            assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        index = (await server.client.post("/v2/repository/index")).json()
        assert index == [{"name": "m", "version": "m-00001", "state": "READY", "reason": ""}]
        assert (await server.client.get("/v2")).json()["extensions"] == ["binary_tensor_data"]
        assert server.plane.ready
