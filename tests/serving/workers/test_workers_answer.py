"""What clients are told is the same with and without workers."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.wire import Line
from tests.serving.workers.conftest import BODY, INFER, Load, Tree

NATURAL = {"date", "x-request-id"}


def told(url: str, method: str, path: str, **content: Any) -> tuple[int, Any, dict[str, str]]:
    answer = httpx.request(method, f"{url}{path}", timeout=30, **content)
    headers = {name: value for name, value in answer.headers.items() if name not in NATURAL}
    return answer.status_code, answer.content, headers


@pytest.fixture(scope="module")
def both(start_shared: Any, onnx_models: Any) -> tuple[str, str]:
    alone = start_shared(onnx_models["double"])
    workers = start_shared(onnx_models["double"], http_workers=2)
    return alone.ready(), workers.ready()


BINARY = json.dumps(
    {
        "inputs": [
            {
                "name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
).encode()  # fmt: skip
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "tensors as JSON": ("POST", INFER, {"json": BODY}),
    "tensors as bytes": (
        "POST",
        INFER,
        {
            "content": BINARY + struct.pack("<4f", 1.5, 2, float("inf"), -4),
            "headers": {"inference-header-content-length": str(len(BINARY))},
        },
    ),
    "a large body": (
        "POST",
        INFER,
        {
            "json": {
                "inputs": [{"name": "x", "shape": [900, 2], "datatype": "FP32", "data": [0.1234567] * 1800}]
            }
        },
    ),
    "its version": ("POST", "/v2/models/m/versions/m-00001/infer", {"json": BODY}),
    "KServe v1": ("POST", "/v1/models/m:predict", {"json": {"instances": [[1, 2], [3, 4]]}}),
    "too many rows": ("POST", "/v1/models/m:predict", {"json": {"instances": [[1, 2]] * 2000}}),
    "an unknown model": ("POST", "/v2/models/other/infer", {"json": BODY}),
    "an unknown version": ("POST", "/v2/models/m/versions/m-7/infer", {"json": BODY}),
    "a wrong tensor": ("POST", INFER, {"json": {"inputs": []}}),
    "a task that the model lacks": ("POST", "/predict/m", {"json": {"text": "Ada"}}),
    "events": ("POST", INFER, {"json": BODY, "headers": {"accept": "text/event-stream"}}),
    "a row by names": ("POST", "/v2/models/m/generate", {"json": {"x": [1.5, 2]}}),
    "its events": ("POST", "/v2/models/m/generate_stream", {"json": {"x": [1.5, 2]}}),
    "events of a wrong row": ("POST", "/v2/models/m/generate_stream", {"json": {"x": "no"}}),
    "that it is there": ("GET", "/", {}),
    "what it is": ("GET", "/v2", {}),
    "its metadata": ("GET", "/v2/models/m", {}),
    "that it lives": ("GET", "/v2/health/live", {}),
    "that it is ready": ("GET", "/v2/health/ready", {}),
    "its models": ("GET", "/v1/models", {}),
    "a query that is wrong": ("GET", "/internal/answers?after=x", {}),
    "no such route": ("GET", "/nowhere", {}),
    "another method": ("DELETE", "/v2/models/m", {}),
}


@pytest.mark.parametrize("call", CALLS)
def test_as_one_process_does(both: tuple[str, str], call: str) -> None:
    method, path, content = CALLS[call]
    alone, workers = (told(url, method, path, **content) for url in both)
    assert workers == alone


def test_texts_and_images_as_one_process_does(start: Any, models: Path) -> None:
    text = {"text": "Ada Lovelace met Charles Babbage in London 🎉"}
    alone, workers = (
        told(start(models / "bert-ner-1", **more).ready(), "POST", "/predict/m", json=text)
        for more in ({}, {"http_workers": 2})
    )
    assert workers == alone
    assert json.loads(workers[1])["entities"]


def test_over_both_workers(with_workers: Any) -> None:
    tree: Tree = with_workers()
    port = tree.server.told["port"]
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(32)]

    def held() -> list[int]:
        return [
            sum(each.status == "ESTABLISHED" and each.laddr[1] == port for each in worker.net_connections())
            for worker in tree.workers
        ]

    tree.server.until(lambda: sum(held()) == 32, "all connections are taken")
    assert min(held()) > 0, "each worker has its share"
    for client in clients:
        client.close()


def test_and_all_of_them_are_counted_once(with_workers: Any) -> None:
    tree: Tree = with_workers()
    url = tree.server.url()
    with Load(url, 8) as load:
        tree.server.until(lambda: load.seen["200"] >= 400, "the load runs")
    for index in range(20):  # each over a connection of its own
        headers = {"x-modelserve-sample": "1", "x-modelserve-arm": "candidate", "x-request-id": f"r{index}"}
        headers["x-modelserve-remember"] = "1"
        assert httpx.post(f"{url}{INFER}", json=BODY, headers=headers).status_code == 200
    assert httpx.post(f"{url}{INFER}", json={}).status_code == 400
    arms = httpx.get(f"{url}/internal/figures").json()["arms"]
    assert (arms["stable"]["requests"], arms["candidate"]["requests"]) == (load.seen["200"], 20)
    assert sum(arms["stable"]["latency"]) == load.seen["200"]
    assert arms["stable"]["client_errors"] == 1
    answers = httpx.get(f"{url}/internal/answers").json()["answers"]
    assert {answer["id"] for answer in answers} == {f"r{index}" for index in range(20)}
    predictions = httpx.get(f"{url}/internal/predictions").json()["predictions"]
    assert {kept["id"] for kept in predictions} == {f"r{index}" for index in range(20)}
    metrics = httpx.get(f"{url}/metrics").text
    counted = (
        'modelserve_requests_total{arm="stable",code="200",protocol="oip",revision="m-00001",service="m"}'
    )
    assert f"{counted} {load.seen['200']}.0" in metrics


def test_a_client_that_goes_away_takes_its_call_with_it(with_workers: Any) -> None:
    tree: Tree = with_workers("slow", threads=1, max_batch=1, max_items=100_000, timeout=600)
    url = tree.server.url()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/v1/models/m:predict", json={"instances": [[1.0, 2.0]] * 20_000}, timeout=0.5)
    gone = "modelserve_rejected_total"
    tree.server.until(
        lambda: any(
            line.startswith(gone) and "client_gone" in line
            for line in httpx.get(f"{url}/metrics").text.splitlines()
        ),
        "the engine counts a client that is gone",
    )
    assert httpx.post(f"{url}{INFER}", json=BODY, timeout=20).status_code == 200


def test_for_a_folder_of_models(start: Any, onnx_models: Any) -> None:
    url = start(onnx_models["double"], repository=str(onnx_models["double"].parent), http_workers=2).ready()
    with httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(2):
            for name in ("double", "slow"):
                answer = client.post(f"/v2/models/{name}/infer", json=BODY)
                assert answer.json()["outputs"][0]["data"] == [3.0, 4.0]
                assert answer.json()["model_name"] == name
            assert client.post("/v2/repository/models/double/unload").status_code == 200
        index = client.post("/v2/repository/index").json()
    assert {each["name"]: each["state"] for each in index}["slow"] == "READY"


def test_and_divide_calls_as_the_engine_was_asked_to(both: tuple[str, str]) -> None:
    _, url = both
    wanted = {"segments": [{"name": "tenant", "header": "x-tenant"}]}
    assert httpx.put(f"{url}/internal/segments", json=wanted).status_code == 200

    def counted() -> int:
        httpx.post(f"{url}{INFER}", json=BODY, headers={"x-tenant": "acme"})
        (segment,) = httpx.get(f"{url}/internal/figures").json()["segments"]
        return int(segment["arms"].get("stable", {}).get("acme", (0, 0, 0))[1])

    for _ in range(200):
        if counted() >= 5:
            break
    else:
        pytest.fail("no worker divides")


@pytest.mark.parametrize(
    "target", ["*", "/" + "a" * 65_500, "/%zz", "/%00", "/a%2f..%2fb", "/v2?" + "a" * 65_500]
)
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "HEAD", "POST"])
def test_odd_targets_alike(both: tuple[str, str], method: str, target: str) -> None:
    asked = f"{method} {target} HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n".encode()
    answers = []
    for url in both:
        with Line(url) as line:
            received = line.send(asked).rest()
        head, _, content = received.partition(b"\r\n\r\n")
        answers.append((head.split()[1], content))
    assert answers[0] == answers[1]
    assert answers[0][0] in (b"200", b"404", b"405", b"400")
