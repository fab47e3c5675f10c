"""gRPC through a real Envoy to gRPC servers that do as they are told."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import grpc
import pytest
import pytest_asyncio

from modelserve._kit.waiting import wait_until
from modelserve.domain.rollouts import ArmCounts
from modelserve.domain.routes import (
    Backend,
    Endpoint,
    Mirror,
    RoutePolicy,
    RouteTable,
    ServiceRoute,
    Slots,
    Split,
    Weight,
)
from modelserve.experiments.assignment import arm_of, lay_out
from modelserve.observers.base import Subject
from modelserve.observers.envoy import EnvoyObserver
from modelserve.routers.envoy import EnvoyRouter

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
SERVICE = ("x-modelserve-service", "ner")
SUBJECT = Subject("ner", "ner-1", "ner-2", ())


@dataclass
class Server(grpc.GenericRpcHandler):
    """Answers with its name and ``told``, refuses with ``status`` if it is told to, and notes who asked."""

    name: str
    told: dict[str, str] = field(default_factory=dict)
    status: grpc.StatusCode = grpc.StatusCode.OK
    delay: float = 0.0
    port: int = 0
    seen: list[dict[str, str]] = field(default_factory=list)

    def service(self, call: Any) -> Any:
        if call.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self._serving)
        if call.method == STREAM:
            return grpc.stream_stream_rpc_method_handler(self._converse)
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _serving(self, _: bytes, __: Any) -> bytes:
        return b"\x08\x01"

    async def _answer(self, _: bytes, context: Any) -> bytes:
        self.seen.append(dict(context.invocation_metadata()))
        await asyncio.sleep(self.delay)
        if self.status is not grpc.StatusCode.OK:
            await context.abort(self.status, f"{self.name} refuses")
        context.set_trailing_metadata(tuple(self.told.items()))
        return self.name.encode()

    async def _converse(self, _: Any, context: Any) -> None:
        while await context.read() is not grpc.aio.EOF:
            await context.write(self.name.encode())

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port, self.port)


@asynccontextmanager
async def running(name: str) -> AsyncIterator[Server]:
    answering, server = Server(name), grpc.aio.server()
    server.add_generic_rpc_handlers([answering])
    answering.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield answering
    await server.stop(0)


@dataclass
class Scene:
    door: EnvoyRouter
    stable: Server
    candidate: Server
    channel: grpc.aio.Channel

    async def route(self, percent: float = 50.0, candidate: Endpoint | None = None, **more: Any) -> None:
        weights = (Weight("ner-1", 100 - percent), Weight("ner-2", percent, "candidate"))
        backends = (
            Backend("ner-1", (self.stable.endpoint,)),
            Backend("ner-2", (candidate or self.candidate.endpoint,)),
        )
        table = RouteTable((ServiceRoute("ner", weights, backends, "ner-1", **more),), grpc=True)
        await self.door.apply(table)

    async def ask(self, *metadata: tuple[str, str], method: str = INFER) -> str:
        call = self.channel.unary_unary(method)
        return (await call(b"", metadata=metadata or (SERVICE,), timeout=30)).decode()

    async def load(self, requests: int) -> Counter[str]:
        answers: Counter[str] = Counter()
        for _ in range(requests):
            try:
                answers[await self.ask()] += 1
            except grpc.aio.AioRpcError as error:
                answers[error.code().name] += 1
        return answers

    async def healthy(self) -> None:
        await wait_until(self._both_answer, description="both servers pass their checks", timeout=20)

    async def _both_answer(self) -> bool:
        return {"ner-1", "ner-2"} <= set(await self.load(20))


@pytest_asyncio.fixture
async def scene(door: EnvoyRouter) -> AsyncIterator[Scene]:
    async with (
        running("ner-1") as stable,
        running("ner-2") as candidate,
        grpc.aio.insecure_channel(f"127.0.0.1:{door.port}") as channel,
    ):
        scene = Scene(door, stable, candidate, channel)
        await scene.route()
        await scene.healthy()
        for server in (stable, candidate):
            server.seen.clear()
        yield scene


async def refused(call: Any) -> tuple[Any, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await call
    error = told.value
    told = {**dict(error.initial_metadata()), **dict(error.trailing_metadata())}
    return error.code(), error.details() or "", told


async def test_by_weight_and_tells_the_server_its_arm(scene: Scene) -> None:
    forged = (SERVICE, ("x-modelserve-arm", "pinned"), ("x-modelserve-sample", "1"))
    answers = Counter([await scene.ask(*forged) for _ in range(60)])
    assert answers["ner-1"] > 10
    assert answers["ner-2"] > 10
    for server, arm in ((scene.stable, "stable"), (scene.candidate, "candidate")):
        assert {told["x-modelserve-arm"] for told in server.seen} == {arm}
        assert all("x-modelserve-sample" not in told and told["x-request-id"] for told in server.seen)
        assert all(float(told["x-envoy-expected-rq-timeout-ms"]) > 0 for told in server.seen)


async def test_participants_of_an_experiment_to_their_arm(scene: Scene) -> None:
    layout = lay_out({"a": 0.5, "b": 0.5})
    slots = tuple(Slots(arm, {"a": "ner-1", "b": "ner-2"}[arm], size) for arm, size in layout)
    await scene.route(0.0, split=Split("tone", slots, header="x-user"))
    for key in (f"user-{number}" for number in range(20)):
        call = scene.channel.unary_unary(INFER)(b"", metadata=(SERVICE, ("x-user", key)), timeout=30)
        arm = arm_of(layout, "tone", key)
        assert (await call).decode() == {"a": "ner-1", "b": "ner-2"}[arm]
        assert dict(await call.initial_metadata())["x-modelserve-arm"] == arm
    assert await scene.ask(SERVICE) == "ner-1"


async def test_to_the_revision_that_metadata_name(scene: Scene) -> None:
    await scene.route(0.0)
    assert await scene.ask(SERVICE, ("x-modelserve-revision", "ner-2")) == "ner-2"
    assert scene.candidate.seen[-1]["x-modelserve-arm"] == "pinned"
    code, details, told = await refused(scene.ask(SERVICE, ("x-modelserve-revision", "ner-9")))
    assert (code, told["x-modelserve-code"]) == (grpc.StatusCode.NOT_FOUND, "unknown_revision")
    assert details == "'ner-9' names no revision of service 'ner'; it has ner-1, ner-2"


async def test_to_nobody_without_a_service_by_that_name(scene: Scene) -> None:
    for metadata in (("x-modelserve-service", "other"), ("x-other", "ner")):
        code, details, told = await refused(scene.ask(metadata))
        assert (code, told["x-modelserve-code"]) == (grpc.StatusCode.NOT_FOUND, "unknown_model")
        assert "there is ner" in details


@pytest.mark.parametrize("status", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED"])
async def test_away_from_a_candidate_that_refuses(scene: Scene, status: str) -> None:
    scene.candidate.status = grpc.StatusCode[status]
    assert await scene.load(40) == {"ner-1": 40}


async def test_away_from_a_candidate_that_is_dead(scene: Scene, another_port: int) -> None:
    await scene.route(candidate=Endpoint("127.0.0.1", another_port, another_port))
    assert await scene.load(40) == {"ner-1": 40}


async def test_and_charges_the_arm_that_failed(scene: Scene) -> None:
    observer = EnvoyObserver(scene.door.admin)
    _, cursor = await observer.read(SUBJECT, {})
    scene.candidate.status = grpc.StatusCode.INTERNAL
    answers = await scene.load(40)
    assert set(answers) == {"ner-1", "INTERNAL"}, "what the model fails on is not tried again"
    seen, cursor = await observer.read(SUBJECT, cursor)
    assert seen.stable == ArmCounts(answers["ner-1"])
    assert seen.candidate == ArmCounts(answers["INTERNAL"], answers["INTERNAL"])
    scene.candidate.status = grpc.StatusCode.INVALID_ARGUMENT
    answers = await scene.load(40)
    seen, _ = await observer.read(SUBJECT, cursor)
    assert seen.stable == ArmCounts(answers["ner-1"])
    assert seen.candidate == ArmCounts(), "a client's mistake is nobody's failure"


async def test_and_counts_an_answer_from_the_cache_apart(scene: Scene) -> None:
    observer = EnvoyObserver(scene.door.admin)
    _, cursor = await observer.read(SUBJECT, {})
    scene.stable.told, scene.candidate.told = {"x-modelserve-cache": "miss"}, {"x-modelserve-cache": "hit"}
    answers = await scene.load(40)
    seen, _ = await observer.read(SUBJECT, cursor)
    assert seen.stable == ArmCounts(answers["ner-1"])
    assert seen.candidate == ArmCounts(0, cached=answers["ner-2"])


async def test_and_logs_who_answered(scene: Scene, lab: ModuleType) -> None:
    scene.stable.told = {"x-modelserve-revision": "ner-1"}
    await scene.route(0.0)
    request_id = str(uuid.uuid4())
    await scene.ask(SERVICE, ("x-request-id", request_id))
    line = await lab.logged(scene.door.access_log, request_id)
    assert (line["service"], line["revision"], line["cache"]) == ("ner", "ner-1", None)


async def test_a_copy_of_the_share_that_is_mirrored(scene: Scene) -> None:
    await scene.route(0.0, mirror=Mirror("ner-2", 100.0))
    await scene.load(20)
    await wait_until(lambda: len(scene.candidate.seen) >= 15, description="the copies arrive", timeout=10)
    asked = {told["x-request-id"]: told["x-modelserve-sample"] for told in scene.stable.seen}
    for copy in scene.candidate.seen:
        assert copy["x-modelserve-arm"] == "shadow"
        assert asked[copy["x-request-id"]] == copy["x-modelserve-sample"] == "1"


async def test_within_the_services_time(scene: Scene) -> None:
    await scene.route(0.0, policy=RoutePolicy(timeout=0.3, retries=0))
    scene.stable.delay = 30
    code, _, told = await refused(scene.ask())
    assert (code, told["x-modelserve-code"]) == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded")
    assert told["x-modelserve-retryable"] == "true"


async def test_streams_for_as_long_as_they_last(scene: Scene) -> None:
    await scene.route(0.0, policy=RoutePolicy(timeout=0.2, retries=0))
    call = scene.channel.stream_stream(STREAM)(metadata=(SERVICE,))
    for _ in range(5):
        await call.write(b"")
        assert await call.read() == b"ner-1"
        await asyncio.sleep(0.1)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_and_says_so_when_nobody_is_there(scene: Scene, another_port: int) -> None:
    nowhere = Endpoint("127.0.0.1", another_port, another_port)
    route = ServiceRoute("ner", (Weight("ner-1", 100.0),), (Backend("ner-1", (nowhere,)),), "ner-1")
    await scene.door.apply(RouteTable((route,), grpc=True))
    code, details, told = await refused(scene.ask())
    assert (code, told["x-modelserve-code"]) == (grpc.StatusCode.UNAVAILABLE, "unavailable")
    assert details == "no server can answer this now; try again"
    assert told["grpc-retry-pushback-ms"] == "1000"
