"""32 clients at once ask models of both sorts: those whose rows are independent, and those that mix them.

Each must get what the engine answers to its own request alone, be it joined with others, cut, or neither.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from ..conftest import Process, processes
from . import random_graphs
from .random_graphs import DEPENDENT, WIDTH

CLIENTS, CALLS = 32, 3
LARGEST = 8
"""Rows of a run."""
SCALES = (0.01, 1.0, 100.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    for seed in range(8):
        random_graphs.independent(folder / f"independent-{seed}.onnx", seed)
    for seed, mixing in enumerate(DEPENDENT):
        random_graphs.dependent(folder / f"dependent-{mixing}.onnx", 100 + seed, mixing)
    random_graphs.independent(folder / "unlike-names.onnx", 50, ("batch", "rows"))
    random_graphs.compressing(folder / "compressing.onnx")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """It waits for company: small models are done before there is any."""
    for start in processes_of(tmp_path_factory):
        yield start(Path(), repository=str(folder), max_batch=LARGEST, max_delay=0.05, timeout=60)


def processes_of(factory: pytest.TempPathFactory) -> Iterator[Any]:
    started = processes(factory.mktemp("company"))
    yield next(started)
    for _ in started:
        pass


def rows_of(client: int, call: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    chance = np.random.default_rng([client, call])
    rows = chance.choice([1, 1, 2, 3, 12])
    return (chance.normal(size=(rows, WIDTH)) * SCALES[client % len(SCALES)]).astype(np.float32)


async def ask(server: Process, model: str) -> list[tuple[Any, Any]]:
    """What each client sent and got."""
    url = f"{server.ready()}/v2/models/{model}/infer"
    limits = httpx.Limits(max_connections=CLIENTS)

    async def one(client: httpx.AsyncClient, number: int) -> list[tuple[Any, Any]]:
        found = []
        for call in range(CALLS):
            x = rows_of(number, call)
            tensor = {"name": "x", "datatype": "FP32", "shape": x.shape, "data": x.ravel().tolist()}
            answer = await client.post(url, json={"inputs": [tensor]})
            assert answer.status_code == 200, answer.text
            y = answer.json()["outputs"][0]
            found.append((x, np.array(y["data"], np.float32).reshape(y["shape"])))
        return found

    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        found = await asyncio.gather(*(one(client, number) for number in range(CLIENTS)))
    return list(itertools.chain.from_iterable(found))


def runs(server: Process, model: str) -> int:
    """How many runs of the model there were."""
    text = httpx.get(f"{server.ready()}/metrics").text
    (count,) = (
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("modelserve_batch_size_count{") and f'"{model}"' in line
    )
    return int(count)


def requests(longest: int) -> int:
    """How many there are if none has more than so many rows: longer ones count as several."""
    asked = (len(rows_of(client, call)) for client in range(CLIENTS) for call in range(CALLS))
    return sum(-(-rows // longest) for rows in asked)


def told(server: Process, model: str) -> dict[str, Any]:
    """What the model's metadata say of how it is run."""
    parameters: dict[str, Any] = httpx.get(f"{server.ready()}/v2/models/{model}").json()["parameters"]
    return parameters


async def hold_to_the_engine(server: Process, folder: Path, model: str) -> str:
    """Ask, and compare with the engine; how the server says that it shares runs."""
    engine = onnxruntime.InferenceSession(folder / f"{model}.onnx")
    for x, got in await ask(server, model):
        (expected,) = engine.run(None, {"x": x})
        assert got.shape == expected.shape
        for mine, right in zip(got, expected, strict=True):
            np.testing.assert_allclose(mine, right, rtol=0, atol=2e-4 * np.abs(right).max() + 1e-30)
    parameters = told(server, model)
    assert parameters["batching"] == "rows" or parameters["batching_why"]
    return str(parameters["batching"])


@pytest.mark.parametrize("seed", range(8))
async def test_of_a_model_whose_rows_are_independent(server: Process, folder: Path, seed: int) -> None:
    assert await hold_to_the_engine(server, folder, f"independent-{seed}") == "rows"
    assert runs(server, f"independent-{seed}") < requests(LARGEST), "some shared a run"


@pytest.mark.parametrize("mixing", sorted(DEPENDENT.keys() - {"normalised"}))
async def test_of_a_model_that_mixes_its_rows(server: Process, folder: Path, mixing: str) -> None:
    assert await hold_to_the_engine(server, folder, f"dependent-{mixing}") == "none"
    assert runs(server, f"dependent-{mixing}") == CLIENTS * CALLS


async def test_of_a_model_in_training_mode(server: Process) -> None:
    """The engine's own answers to equal inputs differ here, so there is nothing to hold the server to."""
    await ask(server, "dependent-normalised")
    assert runs(server, "dependent-normalised") == CLIENTS * CALLS


@pytest.mark.parametrize("model", ["unlike-names", "compressing"])
async def test_of_a_model_whose_outputs_need_not_have_a_row_for_each(
    server: Process, folder: Path, model: str
) -> None:
    assert await hold_to_the_engine(server, folder, model) == "none"
