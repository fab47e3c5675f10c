from __future__ import annotations

import asyncio
import contextlib
import json
import math
import uuid
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

from modelserve._kit.waiting import wait_until
from modelserve.domain.routes import Backend, Mirror, RoutePolicy, RouteTable, ServiceRoute, Weight
from modelserve.routers.envoy import EnvoyRouter

Table = Callable[..., RouteTable]
PATH = "/v2/models/ner/infer"
REQUESTS = 1200


@pytest_asyncio.fixture
async def arms(
    door: EnvoyRouter, upstream: Callable[..., Any], two_arms: Table
) -> AsyncIterator[tuple[Any, Any]]:
    """One replica of stable ``ner-1`` and one of candidate ``ner-2``, half of the traffic each."""
    stable, candidate = upstream("ner-1"), upstream("ner-2")
    await door.apply(two_arms([stable], [candidate]))
    yield stable, candidate


@pytest.fixture
def ask(port: int, lab: ModuleType) -> Callable[..., Any]:
    async def ask(path: str = PATH, **more: Any) -> Any:
        return await lab.fetch(port, path, "POST", **more)

    return ask


@pytest.mark.parametrize("percent", [0.5, 5.0, 50.0])
async def test_weights_are_realised_within_binomial_bounds(
    door: EnvoyRouter, port: int, lab: ModuleType, arms: tuple[Any, Any], two_arms: Table, percent: float
) -> None:
    stable, candidate = arms
    await door.apply(two_arms([stable], [candidate], percent))
    async with lab.Load(port, PATH, requests=REQUESTS) as load:
        pass
    share = percent / 100
    spread = 5 * math.sqrt(
        REQUESTS * share * (1 - share)
    )  # five standard deviations: wrong once in a million
    assert abs(load.revisions["ner-2"] - REQUESTS * share) <= spread
    assert load.lost == 0


async def test_what_arrives_once_a_table_is_in_force_goes_by_it_on_every_connection(
    door: EnvoyRouter, port: int, lab: ModuleType, arms: tuple[Any, Any], two_arms: Table
) -> None:
    stable, candidate = arms
    connections = [lab.Connection(port) for _ in range(16)]  # so many that each worker of Envoy has some
    for turn in range(30):
        percent, revision = ((100.0, "ner-2"), (0.0, "ner-1"))[turn % 2]
        table = two_arms([stable], [candidate], percent)
        await door.apply(table)
        assert await door.in_force(table)
        answers = [await one.request(PATH, "POST") for one in connections]
        assert {answer.revision for answer in answers} == {revision}
    for connection in connections:
        connection.close()


async def test_each_arm_is_told_to_the_server_and_never_believed_from_a_client(
    port: int, lab: ModuleType, arms: tuple[Any, Any], ask: Callable[..., Any]
) -> None:
    forged = {"x-modelserve-arm": "pinned", "x-modelserve-sample": "1", "x-envoy-max-retries": "9"}
    for _ in range(40):
        await ask(headers=forged)
    for server, arm in zip(arms, ("stable", "candidate"), strict=True):
        seen = await server.seen()
        assert set(seen["arms"]) == {arm}
        assert "x-modelserve-sample" not in seen["last"]["headers"]
        assert "x-envoy-max-retries" not in seen["last"]["headers"]


async def test_every_path_of_a_service_reaches_it(arms: tuple[Any, Any], ask: Callable[..., Any]) -> None:
    paths = (
        "/v2/models/ner", "/v2/models/ner/infer", "/v2/models/ner/ready", "/v1/models/ner",
        "/v1/models/ner:predict", "/predict/ner", "/predict/ner?text=a%2Fb", "//predict///ner",
        "/v2/models/%6Eer/infer", "/v2/models/x/../ner/infer",
    )  # fmt: skip
    answers = {path: await ask(path) for path in paths}
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(paths, 200)
    assert {answer.revision for answer in answers.values()} <= {"ner-1", "ner-2"}


async def old(port: int, path: str, *headers: str, body: bytes = b"{}") -> list[tuple[bytes, bytes]]:
    """Head and body of the answers to two requests of HTTP/1.0 that are sent over one connection, in turn."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for _ in range(2):
        lines = [f"POST {path} HTTP/1.0", *headers, f"content-length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            answers.append((head, await reader.readexactly(length)))
    writer.close()
    return answers


@pytest.mark.parametrize("path", [PATH, "/v1/models/ner:predict", "/predict/ner", "/v2/models/ner"])
async def test_http_1_0_is_answered_too(port: int, arms: tuple[Any, Any], path: str) -> None:
    """`envoyproxy/envoy#18608`: nginx's proxy_pass and ab speak it unless told otherwise."""
    for headers in ((), ("Host: backend", "Connection: close"), ("Host: 127.0.0.1",)):
        ((head, body),) = await old(port, path, *headers)
        assert head.startswith(b"HTTP/1.0 200 OK\r\n")
        assert b"connection: close\r\n" in head
        assert json.loads(body)["name"] in ("ner-1", "ner-2")
    kept = await old(port, path, "Connection: keep-alive")
    assert [b"connection: keep-alive\r\n" in head for head, _ in kept] == [True, True]


async def test_the_host_of_http_1_0_is_this_machine_unless_it_names_one(
    port: int, arms: tuple[Any, Any]
) -> None:
    for host, headers in (("localhost", ()), ("backend", ("Host: backend",)), ("", ("Host:",))):
        for _ in range(30):  # that one of the two sees none of them has a chance of one in a billion
            await old(port, PATH, *headers)
        assert [(await server.seen())["last"]["headers"]["host"] for server in arms] == [host] * 2


@pytest.mark.parametrize("path", ["/v2/models/other/infer", "/nothing"])
async def test_http_1_0_is_refused_as_any_other(port: int, arms: tuple[Any, Any], path: str) -> None:
    ((head, body),) = await old(port, path)
    assert head.startswith(b"HTTP/1.0 404 ")
    assert json.loads(body)["code"] in ("unknown_model", "not_found")


async def test_a_model_that_is_not_there_is_a_404_that_says_so(
    arms: tuple[Any, Any], ask: Callable[..., Any]
) -> None:
    paths = (
        "/v2/models/NER/infer", "/v2/models/ner-2/infer", "/v2/models/ne/infer", "/v2/models/nerx",
        "/v1/models/ner:explain", "/predict/ner/more", "/predict/ner%20", "/v2/models/ner;v=1/infer",
        "/v2/models/%254E", '/v2/models/"}',
    )  # fmt: skip
    answers = {path: await ask(path) for path in paths}
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(paths, 404)
    for answer in answers.values():
        assert answer.headers["content-type"] == "application/json"
        said = answer.json()
        assert (said["code"], said["retryable"]) == ("unknown_model", False)
        assert said["error"].startswith("no model service answers at '/")


async def test_escaped_separators_are_refused(arms: tuple[Any, Any], ask: Callable[..., Any]) -> None:
    for path in ("/v2/models/ner%2Finfer", "/v2/models%5Cner", "/predict/ner%00"):
        answer = await ask(path)
        assert (answer.status, answer.json()["code"]) == (400, "invalid_input"), path


async def test_names_that_begin_alike_are_kept_apart(
    door: EnvoyRouter, upstream: Callable[..., Any], ask: Callable[..., Any]
) -> None:
    servers = {name: upstream(f"{name}-00001") for name in ("ner", "ner-2", "n")}
    await door.apply(RouteTable(tuple(_alone(name, server) for name, server in servers.items())))
    for name in servers:
        for path in (f"/v2/models/{name}/infer", f"/v1/models/{name}:predict", f"/predict/{name}"):
            assert (await ask(path)).revision == f"{name}-00001"


def _alone(name: str, server: Any) -> ServiceRoute:
    revision = f"{name}-00001"
    return ServiceRoute(name, (Weight(revision, 100.0),), (Backend(revision, (server.endpoint,)),), revision)


async def test_a_request_may_name_its_revision_by_header_or_path(
    arms: tuple[Any, Any], ask: Callable[..., Any]
) -> None:
    for revision in ("ner-1", "ner-2"):
        for _ in range(5):
            assert (await ask(headers={"x-modelserve-revision": revision})).revision == revision
            assert (await ask(f"/v2/models/ner/versions/{revision}/infer")).revision == revision
    for server in arms:
        assert (await server.seen())["arms"] == {"pinned": 10}


async def test_a_revision_that_is_not_there_is_a_404_that_says_so(
    arms: tuple[Any, Any], ask: Callable[..., Any]
) -> None:
    by_header = {
        name: await ask(headers={"x-modelserve-revision": name}) for name in ("ner-3", "NER-1", "", 'x"}')
    }
    versions = "/v2/models/ner/versions"
    by_path = {path: await ask(path) for path in (f"{versions}/ner-3/infer", f"{versions}/ner-11", versions)}
    for named, answer in (by_header | by_path).items():
        assert answer.status == 404
        assert answer.json() == {
            "error": f"'{named}' names no revision of service 'ner'; it has ner-1, ner-2",
            "code": "unknown_revision",
            "retryable": False,
        }


async def test_everything_else_goes_to_the_control_api(
    door: EnvoyRouter, upstream: Callable[..., Any], two_arms: Table, ask: Callable[..., Any]
) -> None:
    services = two_arms([upstream("ner-1")], []).services
    await door.apply(RouteTable(services, upstream("control").endpoint))
    for path in ("/", "/v2", "/v2/models", "/v2/health/live", "/api/v1/services", "/favicon.ico"):
        assert (await ask(path)).revision == "control"
    assert (await ask("/predict/nobody")).json()["code"] == "unknown_model"


async def test_without_a_control_api_the_door_answers_by_itself(
    arms: tuple[Any, Any], ask: Callable[..., Any]
) -> None:
    assert (await ask("/v2/health/live")).json() == {"live": True}
    assert (await ask("/v2/health/ready")).json() == {"ready": True}
    assert (await ask("/v2")).json()["name"] == "modelserve"
    assert (await ask("/api/v1/services")).json()["code"] == "not_found"


async def test_a_request_id_is_kept_made_and_returned(arms: tuple[Any, Any], ask: Callable[..., Any]) -> None:
    kept = await ask(headers={"x-request-id": "mine/1"})
    assert kept.headers["x-request-id"] == "mine/1"
    made = await ask()
    assert len(made.headers["x-request-id"]) == 36
    ids = {
        (await server.seen())["last"]["headers"]["x-request-id"]
        for server in arms
        if (await server.seen())["last"]
    }
    assert ids <= {"mine/1", made.headers["x-request-id"]}
    assert made.headers["server"] == "modelserve"


async def test_exactly_the_copied_requests_are_marked_as_samples(
    door: EnvoyRouter, port: int, lab: ModuleType, arms: tuple[Any, Any], two_arms: Table
) -> None:
    stable, candidate = arms
    await door.apply(two_arms([stable], [candidate], 0.0, mirror=Mirror("ner-2", 20.0)))
    async with lab.Load(port, PATH, requests=600) as load:
        pass
    assert load.revisions == {"ner-1": 600}
    await wait_until(lambda: _same_samples(stable, candidate), 5, "every copy has arrived")
    copies = (await candidate.seen())["arms"]
    assert set(copies) == {"shadow"}
    assert (await candidate.seen())["last"]["headers"]["host"] == "test-shadow"
    assert abs(copies["shadow"] - 120) <= 5 * math.sqrt(600 * 0.2 * 0.8)


async def test_stable_can_be_asked_a_second_time_behind_all_live_requests(
    door: EnvoyRouter, port: int, lab: ModuleType, arms: tuple[Any, Any], two_arms: Table
) -> None:
    stable, candidate = arms
    mirror = Mirror("ner-2", 100.0, repeat=True, inputs=True)
    await door.apply(two_arms([stable], [candidate], 0.0, mirror=mirror))
    async with lab.Load(port, PATH, requests=50) as load:
        pass
    assert load.revisions == {"ner-1": 50}

    async def both_copied() -> bool:
        return [len((await server.seen())["copies"]) for server in arms] == [50, 50]

    await wait_until(both_copied, 5, "every copy has arrived at both")
    assert (await stable.seen())["arms"] == {"stable": 50, "shadow": 50}
    told = (await candidate.seen())["last"]["headers"]
    assert (told["x-modelserve-sample"], "x-modelserve-priority" in told) == ("inputs", False)


async def _same_samples(stable: Any, candidate: Any) -> bool:
    return sorted((await stable.seen())["sampled"]) == sorted((await candidate.seen())["copies"])


async def test_a_server_is_told_how_long_the_door_will_wait(
    door: EnvoyRouter, arms: tuple[Any, Any], two_arms: Table, ask: Callable[..., Any]
) -> None:
    stable, candidate = arms
    await door.apply(two_arms([stable], [candidate], 0.0, policy=RoutePolicy(timeout=7.5)))
    answer = await ask()
    assert (await stable.seen())["last"]["headers"]["x-envoy-expected-rq-timeout-ms"] == "7500"
    assert not [name for name in answer.headers if name.startswith("x-envoy-")]


async def test_large_bodies_pass_and_can_be_copied(
    door: EnvoyRouter, arms: tuple[Any, Any], two_arms: Table, ask: Callable[..., Any]
) -> None:
    stable, candidate = arms
    await door.apply(two_arms([stable], [candidate], 0.0, mirror=Mirror("ner-2", 100.0)))
    size = 20 * 1024 * 1024
    assert (await ask(body=b"x" * size)).status == 200
    for server in arms:
        await wait_until(lambda server=server: _got(server, size), 10, "the whole body has arrived")


async def _got(server: Any, size: int) -> bool:
    return bool((await server.seen())["last"].get("body") == size)


async def test_the_access_log_tells_who_answered_and_keeps_secrets_out(
    door: EnvoyRouter, arms: tuple[Any, Any], ask: Callable[..., Any], lab: ModuleType
) -> None:
    request_id = str(uuid.uuid4())
    secret = {"authorization": "Bearer hush", "x-request-id": request_id}
    answer = await ask(PATH + "?key=hush", headers=secret)
    line = await lab.logged(door.access_log, request_id)
    assert (line["service"], line["revision"], line["code"]) == ("ner", answer.revision, 200)
    assert line["arm"] == {"ner-1": "stable", "ner-2": "candidate"}[answer.revision]
    assert line["path"] == PATH
    assert "hush" not in door.access_log.read_text()


async def test_http2_without_tls_is_spoken_too(port: int, arms: tuple[Any, Any]) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(preface)
    header = await asyncio.wait_for(reader.readexactly(9), 5)
    writer.close()
    assert header[3] == 4  # a SETTINGS frame


async def test_a_client_may_ask_to_continue_first(port: int, arms: tuple[Any, Any]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n".encode()
    )
    assert b" 100 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.write(b"{}")
    assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
