"""The server as a real process: announce, load, warm up, serve, drain, stop."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.wire import Line, post

BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2]}]}).encode()
INFER = "/v2/models/m/infer"


def test_it_announces_itself_then_becomes_ready_then_answers(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"])
    url = server.ready()
    assert server.told.keys() == {"pid", "port", "epoch"}
    assert server.told["pid"] == server.process.pid
    answer = httpx.post(f"{url}{INFER}", content=BODY)
    assert answer.json()["outputs"][0]["data"] == [3.0, 4.0]
    assert httpx.get(f"{url}/internal/figures").json()["epoch"] == server.told["epoch"]
    assert [event["event"] for event in server.events()] == ["started", "ready"]


def test_a_stopping_server_ends_with_code_0(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"], drain=0)
    server.ready()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert [event["event"] for event in server.events()][-2:] == ["draining", "stopped"]


class Client(threading.Thread):
    """Sends calls over one connection until a connection is refused; counts what came back."""

    def __init__(self, url: str, sent: Counter[str]) -> None:
        super().__init__()
        self._url, self._counts = url, sent
        self.errors: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while True:
                try:
                    answer = client.post(f"{self._url}{INFER}", content=BODY)
                except httpx.ConnectError:
                    return  # no longer listening: this call was never sent
                except httpx.TransportError as error:
                    self.errors.append(repr(error))
                    return
                self._counts[str(answer.status_code)] += 1


def test_no_call_is_lost_when_a_server_is_stopped_under_load(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["slow"], threads=1)
    url = server.ready()
    counts: Counter[str] = Counter()
    clients = [Client(url, counts) for _ in range(6)]
    for client in clients:
        client.start()
    server.until(lambda: counts["200"] >= 20, "the load runs")
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: server.get("/v2/health/ready") != 200, "it is no longer ready")
    answered = counts["200"]
    for client in clients:
        client.join(30)
    assert server.process.wait(30) == 0
    assert [error for client in clients for error in client.errors] == []
    assert set(counts) == {"200"}
    assert counts["200"] > answered, "it answered on while it drained"


def test_no_connection_is_reset_when_a_server_is_stopped(start: Any, onnx_models: Any) -> None:
    """Each call has a connection of its own: many have begun, and were not taken yet, when listening ends."""
    server = start(onnx_models["double"], threads=1)
    url = server.ready()
    outcomes: Counter[str] = Counter()

    def ask() -> None:
        while True:
            try:
                line = Line(url)
            except ConnectionRefusedError:
                return
            with line:
                try:
                    outcomes[str(line.send(post(BODY, "connection: close")).answer().status)] += 1
                except (OSError, EOFError) as error:
                    outcomes[repr(error)] += 1

    clients = [threading.Thread(target=ask) for _ in range(16)]
    for client in clients:
        client.start()
    server.until(lambda: outcomes["200"] > 50, "the load runs")
    server.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(30)
    assert server.process.wait(30) == 0
    assert set(outcomes) == {"200"}


@pytest.mark.parametrize("sent", [0, 20, -10])
def test_a_request_that_is_half_here_is_answered_when_a_server_is_stopped(
    start: Any, onnx_models: Any, sent: int
) -> None:
    server = start(onnx_models["double"], threads=1)
    request = post(BODY)
    with Line(server.ready()) as line:
        line.send(post(BODY)).answer()
        line.send(request[:sent])
        server.process.send_signal(signal.SIGTERM)
        if sent:
            server.until(lambda: server.get("/v2/health/live") == 0, "it no longer listens")
        assert line.send(request[sent:]).answer().status == 200
    assert server.process.wait(30) == 0


def test_a_call_in_flight_is_finished_and_a_second_signal_hurries(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"], drain=60)
    server.ready()
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(10) == 0


def test_a_call_that_overruns_the_drain_is_told_so(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["slow"], drain=1, max_batch=1, max_items=100_000, threads=1, timeout=600)
    url = server.ready()
    answers: list[httpx.Response] = []
    body = {"instances": [[1.0, 2.0]] * 20_000}

    def ask() -> None:
        answers.append(httpx.post(f"{url}/v1/models/m:predict", json=body, timeout=60))

    client = threading.Thread(target=ask)
    client.start()
    running = "modelserve_inference_seconds_count"
    server.until(lambda: _metric(url, running) > 0, "the call runs")
    server.process.send_signal(signal.SIGTERM)
    client.join(30)
    assert server.process.wait(30) == 0
    assert (answers[0].status_code, answers[0].json()["code"]) == (503, "unavailable")
    assert answers[0].headers["x-modelserve-revision"] == "m-00001"


def _metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_a_package_that_cannot_be_served_ends_with_code_3_and_says_why(start: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    server = start(broken)
    assert server.process.wait(30) == 3
    assert "broken.onnx" in server.told["error"]
    (event,) = [event for event in server.events() if event["event"] == "unfit"]
    assert event["level"] == "error"
    assert "traceback" not in event


def test_an_unknown_task_is_an_unfit_package(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"], task="poetry")
    assert server.process.wait(30) == 3
    assert '"token-classification"' in server.told["error"]


def test_a_taken_port_is_told_and_ends_with_code_1(start: Any, onnx_models: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(onnx_models["double"], port=taken.getsockname()[1])
        assert server.process.wait(30) == 1
    assert server.events()[0]["event"] == "bind_failed"


@pytest.mark.parametrize("content", ["", "{}", '{"service": "m", "typo": 1}'])
def test_settings_that_are_wrong_end_with_code_2(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    command = [sys.executable, "-m", "modelserve.serving", "--settings", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_while_the_model_loads_it_is_live_and_not_ready(tmp_path: Path) -> None:
    program = tmp_path / "slow_to_load.py"
    program.write_text(SLOW_TO_LOAD)
    gate = tmp_path / "gate"
    with subprocess.Popen(
        [sys.executable, str(program), str(gate)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        assert httpx.get(f"{url}/v2/health/live").status_code == 200
        assert httpx.get(f"{url}/v2/health/ready").status_code == 503
        assert httpx.post(f"{url}{INFER}", content=BODY).json()["code"] == "not_ready"
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0, "it stops although the loading does not end"


SLOW_TO_LOAD = """
import asyncio, os, sys, threading
from pathlib import Path
import uvloop
from modelserve.serving.lifespan import Life
from modelserve.serving.listening import bind
from modelserve.serving.logs import EventLog
from modelserve.settings import ServerSettings

settings = ServerSettings(service="m", revision="m-00001", package=Path("/nowhere"), drain=0)
listener = bind("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
life = Life(settings, listener, EventLog(), lambda settings: threading.Event().wait())
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    code, clean = runner.run(life.run())
assert not clean
os._exit(code)
"""


def test_a_bundled_image_model_answers_its_reference_rows(start: Any, models: Path) -> None:
    folder = models / "resnet-digits-1"
    url = start(folder).ready()
    rows = [json.loads(line) for line in (folder / "reference.jsonl").read_text().splitlines()[:20]]
    right = 0
    with httpx.Client(base_url=url) as client:
        for row in rows:
            png = base64.b64decode(row["image"])
            answer = client.post("/predict/m", content=png, headers={"content-type": "image/png"})
            right += answer.json()["labels"][0]["label"] == row["label"]
        encoded = [{"b64": row["image"]} for row in rows]
        together = client.post("/v1/models/m:predict", json={"instances": encoded}).json()["predictions"]
    assert right >= 18
    assert sum(p[0]["label"] == row["label"] for p, row in zip(together, rows, strict=True)) == right


def test_a_bundled_text_model_finds_the_entities_of_its_reference_rows(start: Any, models: Path) -> None:
    folder = models / "bert-ner-1"
    url = start(folder).ready()
    rows = [json.loads(line) for line in (folder / "reference.jsonl").read_text().splitlines()[:30]]
    answer = httpx.post(f"{url}/predict/m", json={"texts": [row["text"] for row in rows]}, timeout=30)
    wanted, found = (
        [{(e["label"], e["start"], e["end"]) for e in entities} for entities in both]
        for both in ([row["entities"] for row in rows], answer.json()["results"])
    )
    hits = sum(len(a & b) for a, b in zip(wanted, found, strict=True))
    assert hits > 0.7 * sum(map(len, wanted))
    alone = httpx.post(f"{url}/predict/m", json={"text": rows[0]["text"]}).json()["entities"]
    assert {(e["label"], e["start"], e["end"]) for e in alone} == found[0]
