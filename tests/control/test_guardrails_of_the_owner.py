"""Guardrails of the owner decide: parts of the traffic, figures of the owner's own, and plain limits."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from modelserve.domain.rollouts import Phase, Rollout
from modelserve.observers.custom.http_json import HttpSource
from modelserve.observers.custom.observer import CustomObserver
from modelserve.observers.servers import ServersObserver
from tests.control.conftest import RULES, Controller

OLD, NEW = "m-00001", "m-00002"
TENANTS = {"acme": 100, "globex": 500, "initech": 1000}
"""Requests a second."""


def rules(*guardrails: dict[str, Any], segments: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    errors = {"metric": "error_rate", "maxIncrease": "5%"}
    judge = {"guardrails": [errors, *guardrails], "segments": segments or []}
    return RULES | {"canary": {**RULES["canary"], "minStep": "20s"}, "judge": judge}


class Tenants:
    """Model servers as far as their figures go: each look finds one second's more of traffic."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.bad: dict[tuple[str, str], float] = {}
        """Share of failures by revision and tenant."""
        self._counts: dict[str, dict[str, list[float]]] = defaultdict(
            lambda: {name: [number, 0, 0] for number, name in enumerate(TENANTS)}
        )
        self._divided: dict[str, list[Any]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        replicas = self._controller.platform.replicas
        (revision,) = [r.workload for r in replicas if r.port == request.url.port]
        if request.method == "PUT":
            self._divided[revision] = json.loads(request.content)["segments"]
            return httpx.Response(200, json={})
        self._serve(revision)
        arm = "candidate" if revision == NEW else "stable"
        parts = {name: list(map(round, count)) for name, count in self._counts[revision].items()}
        divided = [{**segment, "arms": {arm: parts}} for segment in self._divided.get(revision, [])]
        figures = {"revision": revision, "epoch": "e", "arms": {}, "segments": divided}
        return httpx.Response(200, json=figures)

    def _serve(self, revision: str) -> None:
        share = self._controller.weights().get(revision, 0.0) / 100
        for name, count in self._counts[revision].items():
            count[1] += TENANTS[name] * share
            count[2] += TENANTS[name] * share * self.bad.get((revision, name), 0.001)


@pytest.fixture
async def tenants(serving: Controller) -> AsyncIterator[Tenants]:
    made = Tenants(serving)
    async with httpx.AsyncClient(transport=httpx.MockTransport(made)) as client:
        serving.platform.observers += (ServersObserver(client),)
        yield made


BY_TENANT = rules(
    {"metric": "error_rate", "maxIncrease": "1%", "segment": "tenant"},
    segments=[{"name": "tenant", "header": "x-tenant"}],
)


async def test_a_candidate_that_fails_for_one_tenant_is_rolled_back_in_its_name(serving, tenants, packages):
    tenants.bad = {(NEW, "acme"): 0.3}
    await serving.apply(packages[1], BY_TENANT)
    ended = await serving.until("m", "rolled back", "probation")
    assert ended.phase is Phase.ROLLED_BACK
    assert "tenant=acme" in ended.reason
    assert "globex" not in ended.reason


async def test_a_candidate_that_hurts_no_tenant_is_promoted(serving, tenants, packages):
    tenants.bad = {(OLD, "acme"): 0.2, (NEW, "acme"): 0.2}
    await serving.apply(packages[1], BY_TENANT)
    await serving.until("m", "probation")


class Source:
    """A web server that answers every GET with ``told``; None: it hangs up."""

    def __init__(self) -> None:
        self.told: Any = None
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if (told := self.told(target) if callable(self.told) else self.told) is not None:
            body = json.dumps(told).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            writer.write(head.encode() + body)
        writer.close()


@pytest.fixture
async def source(serving: Controller, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Source]:
    monkeypatch.setattr(HttpSource, "interval", 0.0)
    made = Source()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, CustomObserver() as observer:
        serving.platform.observers += (observer,)
        yield made


async def until(controller: Controller, condition: Any, description: str) -> Rollout:
    """Tick, and let the source be asked between two ticks."""
    async with asyncio.timeout(30):
        while True:
            await controller.ticks(1)
            rollout = controller.platform.book.service("m").rollout
            if condition(rollout):
                return rollout
            await asyncio.sleep(0.005)
    pytest.fail(f"waited in vain: {description}")


def limited(source: Source) -> dict[str, Any]:
    told = {"http": f"{source.url}/{{revision}}", "total": "queue"}
    return rules({"metric": "custom", "name": "queue", "kind": "limit", "limit": 10, "source": told})


async def test_a_candidate_beyond_a_plain_limit_is_rolled_back(serving, source, packages):
    source.told = {"queue": 12}
    await serving.apply(packages[1], limited(source))
    ended = await until(serving, lambda r: r.phase.done, "it ends")
    assert ended.phase is Phase.ROLLED_BACK
    assert "queue is 12, above its limit of 10" in ended.reason


async def test_a_source_that_is_down_holds_until_it_is_back(serving, source, packages):
    source.told = None
    await serving.apply(packages[1], limited(source))
    said = f"no data for queue: {source.url}/{{revision}} could not be asked (RemoteProtocolError); that is"
    await until(serving, lambda r: r.verdict and r.verdict.reasons[0].startswith(said), "it holds")
    await serving.ticks(20)
    assert serving.platform.book.service("m").rollout.phase in (Phase.CANARY, Phase.HELD)
    assert serving.weights() == {OLD: 90.0, NEW: 10.0}
    source.told = {"queue": 3}
    await until(serving, lambda r: r.phase is Phase.PROBATION, "it goes on by itself")


async def test_a_rate_of_the_owners_own_rolls_a_worse_candidate_back(serving, source, packages):
    looks = defaultdict(int)

    def shop(target: str) -> dict[str, int]:
        looks[target] += 1
        share = 0.02 if target.endswith(OLD) else 0.2
        total = 500 * looks[target]
        return {"total": total, "bad": round(total * share)}

    source.told = shop
    told = {"http": f"{source.url}/{{revision}}"}
    await serving.apply(
        packages[1],
        rules({"metric": "custom", "name": "refunds", "kind": "rate", "maxIncrease": "1%", "source": told}),
    )
    ended = await until(serving, lambda r: r.phase.done, "it ends")
    assert ended.phase is Phase.ROLLED_BACK
    assert "refunds" in ended.reason
