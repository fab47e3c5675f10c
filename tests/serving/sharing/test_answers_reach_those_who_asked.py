"""Real servers whose model looks at a whole run: who is told, and what each client gets."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.quantization import quantize_dynamic

from ..conftest import Starter
from . import random_graphs
from .drawing import WAY_OUT, detector, graph


def infer(url: str, **inputs: Any) -> Any:
    kinds = {"f": "FP32", "i": "INT64"}
    tensors = [
        {"name": name, "datatype": kinds[data.dtype.kind], "shape": data.shape, "data": data.ravel().tolist()}
        for name, data in inputs.items()
    ]
    answer = httpx.post(f"{url}/v2/models/m/infer", json={"inputs": tensors}, timeout=60)
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def test_a_sequence_may_be_longer_than_a_request_may_have_rows(start: Starter, tmp_path: Path) -> None:
    random_graphs.dependent(tmp_path / "m.onnx", 1, "over_time")
    url = start(tmp_path / "m.onnx", max_items=10).ready()
    x = np.ones((50, random_graphs.WIDTH), np.float32)
    assert infer(url, x=x).shape == x.shape


def test_is_told_in_log_metadata_and_announcement(start: Starter, tmp_path: Path) -> None:
    server = start(detector(tmp_path / "nms.onnx"))
    url = server.ready()
    why = f'input "boxes" calls its first axis "batch", and output "selected" "num_selected"; {WAY_OUT}'
    (event,) = (event for event in server.events() if event["event"] == "runs_alone")
    assert event["reason"] == why
    parameters = httpx.get(f"{url}/v2/models/m").json()["parameters"]
    assert (parameters["batching"], parameters["batching_why"]) == ("none", why)
    assert server.told["remarks"] == [f"every request runs alone and whole: {why}"]


def test_one_call_of_ten_images_is_not_cut(start: Starter, tmp_path: Path) -> None:
    """onnx/onnx#2361, ultralytics/ultralytics#23425: the first column of the answer is the image's number."""
    boxes = np.tile(np.array([[[0, 0, 1, 1], [5, 5, 6, 6], [10, 10, 11, 11]]], np.float32), (10, 1, 1))
    scores = np.full((10, 1, 3), 0.05, np.float32)
    scores[range(10), 0, [i % 3 for i in range(10)]] = 0.9
    found = infer(start(detector(tmp_path / "nms.onnx")).ready(), boxes=boxes, scores=scores)
    assert found[:, 0].tolist() == list(range(10))


def test_detections_reach_those_whose_images_they_are_in(start: Starter, tmp_path: Path) -> None:
    """triton-inference-server/server#184 and #5334: one client's boxes must not be dealt out to another."""
    url = start(detector(tmp_path / "nms.onnx"), threads=1).ready()
    count = 1500
    boxes = np.zeros((1, count, 4), np.float32)
    boxes[0, :, 0] = np.arange(count) * 2
    boxes[0, :, 2], boxes[0, :, 3] = boxes[0, :, 0] + 1, 1
    wrong: list[Any] = []

    def client(hot: list[int]) -> None:
        scores = np.full((1, 1, count), 0.05, np.float32)
        scores[0, 0, hot] = 0.9
        for _ in range(15):
            found = infer(url, boxes=boxes, scores=scores)
            if sorted(found[:, 2].tolist()) != hot or found[:, 0].any():
                wrong.append((hot, found.tolist()))

    threads = [threading.Thread(target=client, args=([[7, 900], [], [33]][k % 3],)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_quiet_input_is_not_drowned_by_loud_ones(start: Starter, tmp_path: Path) -> None:
    """microsoft/onnxruntime#10111, #8625, #5672: dynamic quantisation takes one scale for a whole batch."""
    chance = np.random.default_rng(0)
    nodes, weights, x = [], {}, "x"
    for i in range(6):
        weights[f"w{i}"] = (chance.normal(size=(256, 256)) / 16).astype(np.float32)
        nodes += [
            helper.make_node("MatMul", [x, f"w{i}"], [f"h{i}"]),
            helper.make_node("Relu", [f"h{i}"], ["y" if i == 5 else f"r{i}"]),
        ]
        x = f"r{i}"
    tensors = [[(name, TensorProto.FLOAT, ["batch", 256])] for name in "xy"]
    plain = graph(tmp_path / "plain" / "mlp.onnx", *tensors, nodes, weights)
    quantize_dynamic(plain, tmp_path / "mlp.onnx")
    server = start(tmp_path / "mlp.onnx", threads=1)
    url, engine = server.ready(), onnxruntime.InferenceSession(tmp_path / "mlp.onnx")
    asked = [
        (np.random.default_rng(k).normal(size=(1, 256)) * scale).astype(np.float32)
        for k, scale in enumerate((0.01, 1, 100))
    ]
    wrong: list[float] = []

    def client(x: Any) -> None:
        (expected,) = engine.run(None, {"x": x})
        for _ in range(10):
            change = np.abs(infer(url, x=x) - expected).max() / np.abs(expected).max()
            if change > 1e-3:
                wrong.append(float(change))

    threads = [threading.Thread(target=client, args=(asked[k % 3],)) for k in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert "looks at all rows of a run together" in server.told["remarks"][0]
