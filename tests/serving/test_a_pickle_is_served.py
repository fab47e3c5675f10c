"""A pickle is served ..."""

from __future__ import annotations

import pickle
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
