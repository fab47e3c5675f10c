"""An answer in pieces ..."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from modelserve.serving import events

CODE = """
import os, time
import numpy as np


class Model:
    def load(self, folder):
        self.folder = folder.parent

    def predict(self, inputs):
        return {"y": 2 * inputs["x"]}

    def stream(self, inputs):
        count, size = int(inputs["x"][0, 0]), int(inputs["x"][0, 1])
        try:
            if count == -1:
                raise ValueError("at once")
            for step in range(abs(count)):
                (self.folder / "made").write_text(str(step))
                yield {"y": np.full((1, size), step, np.float32)}
            if count < 0:
                raise ValueError("later")
            while count == 3 and not (self.folder / "go on").exists():
                time.sleep(0.01)
        finally:
            (self.folder / "ended").write_text("")
"""
SIGNATURE = """
signature:
  inputs: [{name: x, datatype: FP32, shape: [-1, 2]}]
  outputs: [{name: y, datatype: FP32, shape: [-1, -1]}]
"""
STREAM, INFER = "/v2/models/m/generate_stream", "/v2/models/m/infer"
EVENTS = {"accept": "text/event-stream"}
OWN = '{revision="m-00001",service="m"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pieces")
    (root / "package").mkdir()
    (root / "package" / "model.py").write_text(CODE)
    (root / "package" / "modelserve.yaml").write_text(SIGNATURE)
    return root


@pytest.fixture(scope="module")
def server(start_shared: Any, folder: Path) -> Any:
    process = start_shared(folder / "package", allow_code=True, max_waiting=1)
    process.ready()
    return process


@pytest.fixture
def url(server: Any, folder: Path) -> str:
    for name in ("made", "ended", "go on"):
        (folder / name).unlink(missing_ok=True)
    return str(server.url())


def parsed(text: str) -> list[tuple[str, Any]]:
    """Name and data of each event; comments have the name ``:``."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        lines = dict(line.split(":", 1) for line in block.split("\n"))
        data = lines.get("data")
        found.append((lines.get("event", "").strip() if data else ":", json.loads(data) if data else None))
    return found


def asked(url: str, *x: float, path: str = STREAM, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}{path}", json={"x": list(x)}, headers=headers, timeout=20)


def infer_body(*x: float) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": list(x)}]}


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)


def until(condition: Callable[[], Any], description: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {description}"
        time.sleep(0.01)


@contextmanager
def opened(url: str, *x: float, **headers: str) -> Iterator[httpx.Response]:
    """A stream whose first event has come."""
    with (
        httpx.Client(timeout=20) as client,
        client.stream("POST", f"{url}{STREAM}", json={"x": list(x)}, headers=headers) as response,
    ):
        yield response


class TestPieces:
    def test_are_events_with_a_field_for_each_output(self, url: str) -> None:
        answer = asked(url, 4, 1)
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-modelserve-revision"] == "m-00001"
        named = {"model_name": "m", "model_version": "m-00001"}
        assert parsed(answer.text) == [("", {**named, "y": float(step)}) for step in range(4)]

    def test_are_infer_responses_where_infer_is_asked_for_events(self, url: str) -> None:
        answer = httpx.post(f"{url}{INFER}", json=infer_body(2, 2), headers=EVENTS)
        assert [data["outputs"][0]["data"] for _, data in parsed(answer.text)] == [[0, 0], [1, 1]]
        plain = httpx.post(f"{url}{INFER}", json=infer_body(2, 2))
        assert plain.json()["outputs"][0]["data"] == [4, 4]

    def test_come_as_they_are_made(self, url: str, folder: Path) -> None:
        with opened(url, 3, 1) as response:
            lines = response.iter_lines()
            data = [line for _, line in zip(range(6), lines, strict=False) if line]
            assert len(data) == 3, "the model has not ended yet"
            assert not (folder / "ended").exists()
            (folder / "go on").touch()

    def test_are_one_where_the_model_makes_no_more(self, start: Any, onnx_models: Any) -> None:
        url = start(onnx_models["double"]).ready()
        named = {"model_name": "m", "model_version": "m-00001"}
        assert parsed(asked(url, 1.5, 2).text) == [("", {**named, "y": [3.0, 4.0]})]
        answer = httpx.post(f"{url}{INFER}", json=infer_body(1.5, 2), headers=EVENTS)
        assert [data["outputs"][0]["data"] for _, data in parsed(answer.text)] == [[3, 4]]
        whole = asked(url, 1.5, 2, path="/v2/models/m/generate")
        assert whole.json() == {**named, "y": [3.0, 4.0]}

    def test_are_counted(self, url: str) -> None:
        before = metric(url, f"modelserve_stream_events_total{OWN}")
        asked(url, 5, 1)
        assert metric(url, f"modelserve_stream_events_total{OWN}") == before + 5
        assert metric(url, f"modelserve_stream_first_event_seconds_count{OWN}") > 0


class TestFailures:
    def test_before_the_first_piece_have_their_status(self, url: str) -> None:
        failed = asked(url, -1, 1)
        assert failed.status_code == 500
        assert failed.json()["error"] == "the model failed: ValueError: at once"
        refused = httpx.post(f"{url}{STREAM}", json={"z": 1})
        assert refused.status_code == 400
        assert httpx.post(f"{url}/v2/models/other/generate_stream", json={}).status_code == 404

    def test_after_it_are_the_last_event(self, url: str) -> None:
        arm = 'modelserve_errors_total{arm="stable",code="model_failed"'
        before = metric(url, arm)
        answer = asked(url, -2, 1)
        assert answer.status_code == 200
        *pieces, (name, fault) = parsed(answer.text)
        assert len(pieces) == 2
        assert name == "error"
        assert fault["code"] == "model_failed"
        assert fault["error"] == "the model failed: ValueError: later"
        assert metric(url, arm) == before + 1

    def test_to_end_before_the_deadline_are_told(self, url: str, folder: Path) -> None:
        answer = asked(url, 3, 1, **{"x-modelserve-timeout-ms": "500"})
        assert parsed(answer.text)[-1][1]["code"] == "deadline_exceeded"
        (folder / "go on").touch()
        until((folder / "ended").exists, "the model has stopped")


class TestClients:
    def test_that_go_away_end_the_work(self, url: str, folder: Path) -> None:
        with opened(url, 1e6, 1) as response:
            next(response.iter_lines())
        until((folder / "ended").exists, "the model has stopped")
        until(lambda: metric(url, f"modelserve_streams_open{OWN}") == 0, "nothing is open")
        assert len(parsed(asked(url, 2, 1).text)) == 2

    def test_that_read_slowly_slow_the_model_down(self, url: str, folder: Path) -> None:
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps({"x": [1e6, 50_000]}).encode()
        head = f"POST {STREAM} HTTP/1.1\r\nhost: m\r\ncontent-type: application/json\r\n"
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            until((folder / "made").exists, "the model has begun")
            seen: list[str] = []

            def stands_still() -> bool:
                seen.append((folder / "made").read_text())
                return len(seen) > 30 and len(set(seen[-30:])) == 1

            until(stands_still, "the model waits for its reader")
            assert int(seen[-1]) < 200
        until((folder / "ended").exists, "the model has stopped")

    def test_beyond_those_that_may_wait_are_refused(self, url: str) -> None:
        def waits() -> None:
            with opened(url, 2, 1) as response:
                response.read()

        with opened(url, 1e6, 1) as response:
            lines = response.iter_lines()
            next(lines)
            second = threading.Thread(target=waits)
            second.start()
            until(lambda: metric(url, f"modelserve_streams_waiting{OWN}") == 1, "one waits")
            refused = asked(url, 1, 1)
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        second.join(20)
        assert not second.is_alive(), "it has its turn once the first is gone"


class Halting:
    """Makes one piece, then waits at the model's gate."""

    streams = whole = True

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def stream(self, tensors: Any, outputs: Any = ()) -> Iterator[Any]:
        yield {"y": tensors["x"]}
        self._model.entered.set()
        assert self._model.gate.wait(30)
        yield {"y": 2 * np.asarray(tensors["x"])}


@pytest.mark.parametrize("path", [STREAM])
async def test_is_kept_alive_by_comments(serve: Any, over_tcp: Any, monkeypatch: Any, path: str) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    async with serve(wrap=Halting) as server, over_tcp(server) as url, httpx.AsyncClient() as client:
        request = client.stream("POST", f"{url}{path}", json={"x": [1, 2]})
        async with request as response:
            text = ""
            async for chunk in response.aiter_text():
                text += chunk
                if text.count(": still working") >= 2:
                    server.model.gate.set()
    told = parsed(text)
    assert [data["y"] for _, data in told if data] == [[1.0, 2.0], [2.0, 4.0]]
    assert ":" in [name for name, _ in told]
    await asyncio.sleep(0)
