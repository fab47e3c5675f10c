"""Predictions are remembered: of live requests that the front door marks, in short."""

from typing import Any

import pytest

from modelserve.domain.inference import Entity, InferenceResponse, Label
from modelserve.protocol.predicted import MOST_SPANS, predicted
from modelserve.serving.predictions import PredictionLog

MARK = {"x-modelserve-remember": "1", "x-modelserve-arm": "candidate"}


async def read(server: Any, query: str = "") -> dict[str, Any]:
    page: dict[str, Any] = (await server.client.get(f"/internal/predictions{query}")).json()
    return page


async def test_where_the_front_door_asks_for_it(serve: Any) -> None:
    async with serve() as server:
        await server.infer([0, 2], headers=MARK | {"x-request-id": "r1"})
        await server.infer([0, 2], headers={"x-request-id": "r2"})
        page = await read(server)
        (kept,) = page["predictions"]
        assert kept.pop("at") > 1e9
        assert kept.pop("parts") == {}
        assert kept == {"seq": 1, "id": "r1", "arm": "candidate", "predicted": {"label": "1"}}
        assert (page["epoch"], page["revision"]) == ("e" * 32, "m-00001")
        assert (await read(server, f"?after={page['next']}"))["predictions"] == []


async def test_with_the_parts_that_a_rollout_asks_for(serve: Any) -> None:
    async with serve() as server:
        wanted = [{"name": "tenant", "header": "x-tenant"}, {"name": "class", "by": "answer"}]
        answer = await server.client.put("/internal/segments", json={"segments": wanted})
        assert answer.status_code == 200
        await server.infer([0, 2], headers=MARK | {"x-tenant": "acme"})
        (kept,) = (await read(server))["predictions"]
        assert kept["parts"] == {"tenant": "acme", "class": "class 1"}


async def test_but_no_failures(serve: Any) -> None:
    async with serve() as server:
        await server.client.post("/v2/models/m/infer", content=b"{", headers=MARK)
        assert (await read(server))["predictions"] == []


async def test_as_many_as_there_is_room_for() -> None:
    log = PredictionLog(3, "e")
    for number in range(5):
        log.add(f"r{number}", "stable", {}, {})
    page = log.after(0, 10, "m-00001")
    assert b'"oldest":3' in page
    assert page.count(b'"id"') == 3


def answered(*answers: Any) -> InferenceResponse:
    return InferenceResponse("m", "m-00001", "r", None, answers)


def tensors(**outputs: Any) -> InferenceResponse:
    import numpy as np

    return InferenceResponse("m", "m-00001", "r", {k: np.array(v) for k, v in outputs.items()})


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (answered((Label("7", 0.9), Label("1", 0.1))), {"label": "7"}),
        (answered((Entity("Ada", "PER", 1.0, 0, 3),)), {"spans": [["PER", 0, 3]]}),
        (answered(()), {"spans": []}),
        (answered((Label("7", 1.0),), (Label("8", 1.0),)), {}),
        (answered((Entity("A", "PER", 1.0, 0, 1),) * (MOST_SPANS + 1)), {}),
        (answered((Label("a\0b", 1.0),)), {"label": "a\N{REPLACEMENT CHARACTER}b"}),
        (tensors(y=[[0.1, 0.7, 0.2]]), {"label": "1"}),
        (tensors(y=[3]), {"label": "3"}),
        (tensors(y=[[0.1, 0.9], [0.9, 0.1]]), {}),
        (tensors(y=[0.5]), {}),
        (tensors(a=[1], b=[2]), {}),
    ],
)
def test_as_the_class_or_the_entities(response: InferenceResponse, told: dict[str, Any]) -> None:
    assert predicted(response) == told
