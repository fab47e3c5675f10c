"""Short runs take place on the event loop; what is long, unsteady or behind others goes to the workers."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper

from modelserve.batching.cost import CostModel
from modelserve.batching.joining import Joiner
from modelserve.batching.sharing import TOGETHER
from modelserve.domain.inference import DataType, Signature, Tensors, TensorSpec
from modelserve.errors import DeadlineExceeded, ModelFailed
from modelserve.serving.express import AT_ONCE, ENOUGH, HEAVY, Express
from modelserve.serving.jobs import TensorJob

from .conftest import Starter
from .sharing.drawing import graph

SIGNATURE = Signature((TensorSpec("x", DataType.FP32, (-1, 2)),), (TensorSpec("y", DataType.FP32, (-1, 2)),))


class Model:
    signature = SIGNATURE
    steady = True

    def __init__(self) -> None:
        self.seconds = 0.0

    def predict(self, tensors: Tensors, outputs: Any = ()) -> Tensors:
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass
        if tensors["x"][0, 0] < 0:
            raise ZeroDivisionError("secret")
        return {"y": tensors["x"] * 2}

    def close(self) -> None: ...


def job(*rows: float) -> TensorJob:
    tensors = {"x": np.array([[row, 1.0] for row in rows], np.float32)}
    return TensorJob(tensors, Joiner(SIGNATURE, TOGETHER).fit(tensors), ())


def express(model: Model, seconds: float, runs: list[int] | None = None) -> Express:
    seen = [] if runs is None else runs
    joiner = Joiner(SIGNATURE, TOGETHER)
    return Express(model, joiner, CostModel(per_cost=seconds), lambda rows, _: seen.append(rows))


def test_a_run_is_taken_if_the_warm_up_found_it_short_enough_for_its_size() -> None:
    lane = express(Model(), AT_ONCE / 3)
    assert lane.takes(job(1), time.monotonic())
    assert not lane.takes(job(1, 2, 3), time.monotonic())
    assert not express(Model(), 0.0).takes(job(1), time.monotonic()), "nothing is known of it"


def test_its_result_is_the_models_and_it_is_counted() -> None:
    runs: list[int] = []
    result = express(Model(), 1e-6, runs).run(job(3, 4), time.monotonic(), None)
    assert result["y"].tolist() == [[6, 2], [8, 2]]
    assert runs == [2]


def test_a_failure_tells_nothing_of_its_inside() -> None:
    with pytest.raises(ModelFailed, match="the model failed on this input"):
        express(Model(), 1e-6).run(job(-1), time.monotonic(), None)


def test_an_answer_with_other_rows_than_the_question_is_the_models_failure() -> None:
    model = Model()
    model.predict = lambda tensors, outputs=(): {"y": np.zeros((3, 2))}  # type: ignore[method-assign]
    with pytest.raises(ModelFailed, match=r'output "y": shape \[3, 2\] for a batch of 2 rows'):
        express(model, 1e-6).run(job(1, 2), time.monotonic(), None)


def test_what_is_too_late_does_not_run() -> None:
    runs: list[int] = []
    now = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        express(Model(), 1e-6, runs).run(job(1), now, now - 1)
    assert runs == []


def test_inputs_that_cost_much_more_send_runs_to_the_workers_for_a_while() -> None:
    model = Model()
    lane = express(model, 1e-6)
    model.seconds = 2 * HEAVY
    for _ in range(ENOUGH + 1):
        lane.run(job(1), time.monotonic(), None)
    assert not lane.takes(job(1), time.monotonic())
    assert lane.takes(job(1), time.monotonic() + 3600)


def test_a_run_whose_cost_a_value_decides_holds_up_nobody(start: Starter, tmp_path: Path) -> None:
    """It is short in the warm-up: how often its loop goes round is an input."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["further"]), helper.make_node("Neg", ["state"], ["next"])],
        "body",
        [value("at", TensorProto.INT64, []), value("on", TensorProto.BOOL, []), value("state", 1, None)],
        [value("further", TensorProto.BOOL, []), value("next", 1, None)],
    )
    nodes = [helper.make_node("Loop", ["steps", "", "x"], ["y"], body=body)]
    ins = [("x", TensorProto.FLOAT, ["n", 2]), ("steps", TensorProto.INT64, [1])]
    url = start(graph(tmp_path / "m.onnx", ins, [("y", TensorProto.FLOAT, ["n", 2])], nodes)).ready()
    question = {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]},
            {"name": "steps", "datatype": "INT64", "shape": [1], "data": [2_000_000]},
        ]
    }
    answered, healthy = threading.Event(), 0

    def ask() -> None:
        httpx.post(f"{url}/v2/models/m/infer", json=question, timeout=60)
        answered.set()

    thread = threading.Thread(target=ask)
    thread.start()
    with httpx.Client() as client:
        while not answered.wait(0.02):
            client.get(f"{url}/v2/health/live", timeout=60)
            healthy += not answered.is_set()
    thread.join()
    assert healthy > 5, "one at most where the run is on the loop"
