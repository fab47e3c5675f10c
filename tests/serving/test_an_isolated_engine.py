"""A server whose engine has a process of its own ..."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

INFER = "/v2/models/m/infer"
CODE = """
import os, time
import numpy as np


class Model:
    def load(self, folder):
        if (folder / "broken").exists():
            raise OSError("the weights are gone")
        print("loaded")

    def predict(self, inputs):
        x = inputs["x"]
        if (x[:, 0] == 9).any():
            raise ValueError("secret /srv/weights")
        if (x[:, 0] == 8).any():
            time.sleep(0.02)
        return {"y": 2 * x}
"""
SIGNATURE = """
signature:
  inputs: [{name: x, datatype: FP32, shape: [-1, 2]}]
  outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]
"""


def body(*row: float) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": list(row)}]}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.py").write_text(CODE)
    (folder / "modelserve.yaml").write_text(SIGNATURE)
    return folder


def engine_of(server: Any) -> psutil.Process:
    (child,) = psutil.Process(server.process.pid).children()
    return child


def metric(url: str, line: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    return next((float(each.rsplit(" ", 1)[1]) for each in text.splitlines() if each.startswith(line)), 0.0)


class Askers:
    """Clients that ask one after the other until they are told to stop."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.statuses: Counter[int] = Counter()
        self.faults: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(clients)]

    def __enter__(self) -> Askers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, url: str) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                answer = client.post(f"{url}{INFER}", json=body(8, 1))
                self.statuses[answer.status_code] += 1
                if answer.status_code != 200:
                    self.faults.append(answer.json())


def test_loses_only_the_batch_in_which_it_dies(start: Any, package: Path) -> None:
    server = start(package, allow_code=True)
    url = server.ready()
    first = engine_of(server)
    with Askers(url) as askers:
        server.until(lambda: askers.statuses[200] > 20, "calls are answered")
        first.kill()
        server.until(lambda: sum(askers.statuses.values()) > askers.statuses[200], "a batch is lost")
        reached = askers.statuses[200]
        server.until(lambda: askers.statuses[200] > reached + 20, "calls are answered again")
    assert set(askers.statuses) == {200, 503}
    assert {fault["code"] for fault in askers.faults} == {"engine_died"}
    assert all(fault["retryable"] for fault in askers.faults)
    assert len(askers.faults) <= 4, "what only waited is answered by the next process"
    assert engine_of(server).pid != first.pid
    own = '{reason="died",revision="m-00001",service="m"}'
    assert metric(url, f"modelserve_engine_replaced_total{own}") == 1


def test_is_not_ready_while_none_lives(start: Any, package: Path) -> None:
    server = start(package, allow_code=True)
    url = server.ready()
    (package / "broken").touch()
    engine_of(server).kill()
    server.until(lambda: server.get("/v2/health/ready") == 503, "it is not ready")
    assert "out of reach" in httpx.get(f"{url}/v2/health/ready").json()["error"]
    refused = httpx.post(f"{url}{INFER}", json=body(1, 1))
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "retry-after" in refused.headers
    (package / "broken").unlink()
    server.until(lambda: server.get("/v2/health/ready") == 200, "it is ready again")
    assert httpx.post(f"{url}{INFER}", json=body(1, 1)).status_code == 200


def test_tells_a_failure_of_the_code_and_keeps_its_traceback(start: Any, package: Path) -> None:
    server = start(package, allow_code=True)
    url = server.ready()
    failed = httpx.post(f"{url}{INFER}", json=body(9, 1))
    assert failed.status_code == 500
    assert failed.json()["error"] == "the model failed: ValueError: secret /srv/weights"
    assert "Traceback" not in failed.text
    events = {event["event"]: event for event in server.events()}
    assert "model.py" in events["request_failed"]["traceback"]
    assert "ValueError" in events["request_failed"]["traceback"]
    assert failed.json()["error"] not in str(events["request_failed"]), "its words may repeat the input"
    assert events["engine_output"]["message"] == "loaded"


def test_does_not_run_code_that_nobody_allowed(start: Any, package: Path) -> None:
    server = start(package)
    assert server.process.wait(30) == 3
    told = json.loads(server.announce.read_text())["error"]
    assert "answers with code of its own (model:Model)" in told
    assert "modelserve up --allow-code" in told


def test_is_unfit_if_its_code_cannot_load(start: Any, package: Path) -> None:
    (package / "broken").touch()
    server = start(package, allow_code=True)
    assert server.process.wait(30) == 3
    assert server.told["error"] == "model:Model: load failed: OSError: the weights are gone"


def test_stops_with_its_engine(start: Any, package: Path) -> None:
    server = start(package, allow_code=True, drain=0)
    server.ready()
    engine = engine_of(server)
    server.process.terminate()
    assert server.process.wait(20) == 0
    assert not engine.is_running()


def test_may_be_an_engine_of_any_kind(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"], isolated=True)
    url = server.ready()
    answer = httpx.post(f"{url}{INFER}", json=body(1.5, 2))
    assert answer.json()["outputs"][0]["data"] == [3.0, 4.0]
    engine_of(server).kill()
    server.until(lambda: httpx.post(f"{url}{INFER}", json=body(1, 1)).status_code == 200, "it answers again")
