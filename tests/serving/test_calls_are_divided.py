"""Calls are divided by the segments that somebody asked for, and by nothing before that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelserve.domain.guardrails import Guardrail, Segment
from modelserve.domain.inference import Entity, InferenceResponse, Label
from modelserve.domain.rollouts import Outcome, Trials
from modelserve.domain.workloads import Replica, ReplicaPhase
from modelserve.observers.base import Subject
from modelserve.observers.servers import ServersObserver
from modelserve.serving.segments import LONGEST, SIZES, clean, predicted, size_class
from tests.serving.conftest import FAIL, infer_body

TENANT = {"name": "tenant", "header": "X-Tenant"}
SIZE = {"name": "size", "by": "size"}
ANSWER = {"name": "class", "by": "answer"}


async def ask(server: Any, *segments: dict[str, str]) -> None:
    answer = await server.client.put("/internal/segments", json={"segments": list(segments)})
    assert answer.status_code == 200, answer.text


async def parts(server: Any, name: str, arm: str = "stable") -> dict[str, tuple[int, int]]:
    """Calls and failures by part."""
    told = (await server.client.get("/internal/figures")).json()["segments"]
    (segment,) = [one for one in told if one["name"] == name]
    return {part: (total, bad) for part, (_, total, bad) in segment["arms"].get(arm, {}).items()}


async def test_by_a_header_of_whatever_arm_and_outcome(serve: Any) -> None:
    async with serve() as server:
        await ask(server, TENANT)
        await server.infer([0, 1], headers={"x-tenant": "acme"})
        await server.infer([FAIL, 1], headers={"x-tenant": "acme"})
        await server.infer([FAIL, 1], headers={"x-tenant": "acme", "x-modelserve-arm": "candidate"})
        await server.infer([0, 1])
        await server.client.post("/v2/models/m/infer", content=b"{", headers={"x-tenant": "clumsy"})
        assert await parts(server, "tenant") == {"acme": (2, 1), "none": (1, 0)}
        assert await parts(server, "tenant", "candidate") == {"acme": (1, 1)}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/models/m/infer", infer_body([0, 1])),
        ("/v2/models/m/versions/m-00001/infer", infer_body([0, 1])),
        ("/v1/models/m:predict", {"instances": [[0, 1]]}),
        ("/v2/models/m/generate", {"x": [0, 1]}),
        ("/v2/models/m/generate_stream", {"x": [0, 1]}),
    ],
)
async def test_by_every_protocol(serve: Any, over_tcp: Any, path: str, body: Any) -> None:
    async with serve() as server, over_tcp(server) as url:
        await ask(server, TENANT, SIZE)
        answer = await server.client.post(f"{url}{path}", json=body, headers={"x-tenant": "acme"})
        assert answer.status_code == 200, answer.text
        assert await parts(server, "tenant") == {"acme": (1, 0)}
        assert sum(total for total, _ in (await parts(server, "size")).values()) == 1


async def test_by_the_route_of_a_task(serve: Any) -> None:
    async with serve(text=True) as server:
        await ask(server, TENANT, ANSWER)
        await server.client.post("/predict/m", json={"text": "Ada"}, headers={"x-tenant": "acme"})
        await server.client.post("/predict/m", json={"text": "nobody"}, headers={"x-tenant": "acme"})
        await server.client.post("/predict/m", json={"text": "defect"}, headers={"x-tenant": "acme"})
        assert await parts(server, "tenant") == {"acme": (3, 1)}
        assert await parts(server, "class") == {"CAPITAL": (1, 0), "none": (2, 1)}


async def test_by_the_size_of_a_body_whose_length_was_not_told(serve: Any) -> None:
    async def chunks() -> Any:
        yield b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", '
        yield b'"data": [0, 1]}]}'

    async with serve() as server:
        await ask(server, SIZE)
        answer = await server.client.post("/v2/models/m/infer", content=chunks())
        assert answer.status_code == 200
        assert await parts(server, "size") == {"10 B to 100 B": (1, 0)}


async def test_but_not_an_answer_from_the_cache_for_no_model_ran(serve: Any) -> None:
    async with serve(cache_ttl=60.0) as server:
        await ask(server, TENANT)
        for _ in range(3):
            await server.infer([0, 1], headers={"x-tenant": "acme"})
        assert await parts(server, "tenant") == {"acme": (1, 0)}


async def test_anew_when_a_name_means_something_else(serve: Any) -> None:
    async with serve() as server:
        await ask(server, TENANT)
        await server.infer([0, 1], headers={"x-tenant": "acme"})
        await ask(server, TENANT)
        assert await parts(server, "tenant") == {"acme": (1, 0)}
        await ask(server, {"name": "tenant", "header": "x-customer"})
        assert await parts(server, "tenant") == {}


async def test_into_metrics_too_once_somebody_asked(serve: Any) -> None:
    async with serve() as server:
        assert "segment" not in server.telemetry.exposition().decode()
        await ask(server, TENANT)
        await server.infer([FAIL, 1], headers={"x-tenant": "acme"})
        labels = '{arm="stable",part="acme",revision="m-00001",segment="tenant",service="m"} 1.0'
        metrics = server.telemetry.exposition().decode()
        assert f"modelserve_segment_requests_total{labels}" in metrics
        assert f"modelserve_segment_failures_total{labels}" in metrics


async def test_by_nothing_again_when_that_is_asked_for(serve: Any) -> None:
    async with serve() as server:
        await ask(server, TENANT)
        await ask(server)
        await server.infer([0, 1], headers={"x-tenant": "acme"})
        assert (await server.client.get("/internal/figures")).json()["segments"] == []
        assert server.telemetry.own.segments == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"segments": [{"name": "t"}]}, "say either header"),
        ({"segments": [{"name": "t", "header": "authorization"}]}, "secret"),
        ({"segments": [SIZE] * 6}, "at most 5"),
        ({}, "segments"),
        ([], "object"),
    ],
)
async def test_by_nothing_that_makes_no_sense(serve: Any, body: Any, said: str) -> None:
    async with serve() as server:
        answer = await server.client.put("/internal/segments", json=body)
        assert answer.status_code == 400
        assert said in answer.json()["error"]


def test_into_names_that_can_be_shown() -> None:
    assert clean("  acme\r\n\x00\x1b[31m ") == "acme[31m"
    assert clean("x" * 1000) == "x" * LONGEST
    assert clean("\t\n") == "none"
    assert clean("Zürich 東京") == "Zürich 東京"


def test_by_powers_of_ten_of_bytes() -> None:
    assert [size_class(size) for size in (0, 9, 10, 999, 1000, 999_999, 10**7, 10**9)] == [
        SIZES[0], SIZES[0], SIZES[1], SIZES[2], SIZES[3], SIZES[5], SIZES[7], SIZES[8],
    ]  # fmt: skip
    assert size_class(None) == "none"


def answer(*answers: Any, **tensors: Any) -> InferenceResponse:
    arrays = {name: np.array(data) for name, data in tensors.items()} or None
    return InferenceResponse("m", "r", "1", arrays, answers if arrays is None else None)


@pytest.mark.parametrize(
    ("response", "part"),
    [
        (None, "none"),
        (answer(), "none"),
        (answer((Label("cat", 0.9), Label("dog", 0.1)), (Label("dog", 1.0),)), "cat"),
        (answer((Entity("Ada", "PER", 1, 0, 3), Entity("Rome", "LOC", 1, 4, 8))), "LOC+PER"),
        (answer(()), "none"),
        (answer(y=[[0.1, 0.7, 0.2]]), "class 1"),
        (answer(y=[3, 4]), "3"),
        (answer(y=["spam"]), "spam"),
        (answer(y=[0.5]), "none"),
    ],
)
def test_by_the_class_that_was_predicted(response: Any, part: str) -> None:
    assert predicted(response) == part


async def test_by_what_an_observer_asks_for(serve: Any) -> None:
    stable = Replica("m-00001", 0, ReplicaPhase.READY, port=1)
    rail = Guardrail.model_validate({"metric": "error_rate", "maxIncrease": "1%", "segment": "tenant"})
    segments = (Segment(name="tenant", header="x-tenant"),)
    subject = Subject("m", "m-00001", "m-00002", (stable,), guardrails=(rail,), segments=segments)
    async with serve() as server:
        observer = ServersObserver(server.client)
        _, cursor = await observer.read(subject, {})
        await server.infer([FAIL, 1], headers={"x-tenant": "acme"})
        sighting, _ = await observer.read(subject, cursor)
        assert sighting.outcomes == {"error_rate by tenant=acme": Outcome(Trials(1, 1), None)}
