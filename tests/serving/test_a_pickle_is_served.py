"""A pickle is served ..."""

from __future__ import annotations

import importlib
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A model that skops does not vouch for, pickled."""
    folder = tmp_path / "pickled"
    folder.mkdir()
    rows = np.array([[0, 0], [1, 1], [8, 9], [9, 8]], np.float32)
    model = KNeighborsClassifier(1).fit(rows, ["near", "near", "far", "far"])
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    (folder / "modelserve.yaml").write_text(
        "signature:\n"
        "  inputs: [{name: x, datatype: FP32, shape: [-1, 2]}]\n"
        "  outputs: [{name: label, datatype: BYTES, shape: [-1]}]\n"
    )
    return folder


def test_not_unless_the_operator_allows_it(start: Any, package: Path) -> None:
    server = start(package)
    assert server.process.wait(30) == 3
    assert "model.pkl: is a pickle, which the platform's operator has not allowed" in server.told["error"]


@pytest.mark.parametrize("isolated", [False, True])
def test_where_the_operator_allows_it(start: Any, package: Path, isolated: bool) -> None:
    url = start(package, allow_pickle=True, isolated=isolated).ready()
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 0, 9, 9]}
    answer = httpx.post(f"{url}/v2/models/m/infer", json={"inputs": [tensor]})
    assert answer.json()["outputs"][0]["data"] == ["near", "far"]
    assert httpx.get(f"{url}/v2/models/m").json()["platform"] == "sklearn_estimator"


def test_not_if_it_is_damaged(start: Any, package: Path) -> None:
    (package / "model.pkl").write_bytes((package / "model.pkl").read_bytes()[:50])
    server = start(package, allow_pickle=True)
    assert server.process.wait(30) == 3
    assert "model.pkl: can't be unpickled" in server.told["error"]


KEEPS = """
import time

class Keeps:
    def predict(self, rows):
        self.rows = rows
        time.sleep(0.002)
        return self.rows[:, 0] * 2
"""


@pytest.fixture
def keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pickle of somebody's class that keeps its rows between two of its own lines."""
    (tmp_path / "somebodys.py").write_text(KEEPS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.getenv("PYTHONPATH")))))
    folder = tmp_path / "keeping"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(importlib.import_module("somebodys").Keeps()))
    (folder / "modelserve.yaml").write_text(
        "batching: none\n"
        "signature:\n"
        "  inputs: [{name: x, datatype: FP64, shape: [-1, 2]}]\n"
        "  outputs: [{name: y, datatype: FP64, shape: [-1]}]\n"
    )
    return folder


@pytest.mark.parametrize(
    ("told", "workers"), [({}, 1), ({"isolated": True}, 1), ({"isolated": True, "engine_processes": 2}, 2)]
)
def test_one_run_at_a_time_where_its_classes_are_not_known(
    start: Any, keeping: Path, told: dict[str, Any], workers: int
) -> None:
    """Two processes have an object each."""
    server = start(keeping, allow_pickle=True, threads=4, **told)
    url = server.ready()
    parameters = httpx.get(f"{url}/v2/models/m").json()["parameters"]
    why = "its file holds somebodys.Keeps, which may keep something during a run"
    assert (parameters["workers"], parameters["workers_why"]) == (workers, why)
    assert f"each copy of it takes one run at a time: {why}" in server.told["remarks"]
    (event,) = (event for event in server.events() if event["event"] == "runs_take_turns")
    assert event["reason"] == why

    def client(value: float) -> list[float]:
        tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [value, 0]}
        with httpx.Client(base_url=url) as asking:
            answers = [asking.post("/v2/models/m/infer", json={"inputs": [tensor]}) for _ in range(25)]
        return [answer.json()["outputs"][0]["data"][0] / value for answer in answers]

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(client, [1.0, 2.0, 3.0, 4.0])) == {2.0}
