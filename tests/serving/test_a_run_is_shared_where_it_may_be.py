"""Which models' requests may share a run, as the real loading and warm-up find out, and who is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from modelserve.batching.cost import CostModel
from modelserve.batching.sharing import TOGETHER, Sharing
from modelserve.errors import InvalidPackage
from modelserve.serving.loading import load
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.warming.warmup import warm_up
from modelserve.settings import ServerSettings

from . import random_graphs
from .conftest import Starter

MODELS = Path(__file__).resolve().parents[2] / "models"
Warm = Callable[..., Loaded]


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    """``warm(package, **settings)``: the model as it is after its warm-up."""
    loaded: list[Loaded] = []
    with (tmp_path / "events").open("wb") as file:
        log = EventLog(file.fileno())

        def make(package: Path, max_batch: int = 4, **settings: Any) -> Loaded:
            told = {"service": "m", "revision": "m-1", "package": package, "threads": 1, **settings}
            loaded.append(load(ServerSettings.model_validate(told)))
            return warm_up(loaded[-1], max_batch, log, CostModel())

        yield make
    for each in loaded:
        each.model.close()


def graph(path: Path, ins: Any, outs: Any, nodes: Any, weights: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*each) for each in ins],
        [helper.make_tensor_value_info(*each) for each in outs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )  # fmt: skip
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def detector(path: Path) -> Path:
    return graph(
        path,
        [("boxes", TensorProto.FLOAT, ["batch", "n", 4]), ("scores", TensorProto.FLOAT, ["batch", 1, "n"])],
        [("selected", TensorProto.INT64, ["num_selected", 3])],
        [helper.make_node("NonMaxSuppression", ["boxes", "scores", "k", "iou", "least"], ["selected"])],
        {"k": [10], "iou": np.array([0.5], np.float32), "least": np.array([0.1], np.float32)},
    )


def declared(folder: Path, text: str, model: Callable[[Path], object]) -> Path:
    """A package in a folder, with a declaration beside its model."""
    folder.mkdir(parents=True, exist_ok=True)
    model(folder / "model.onnx")
    (folder / "modelserve.yaml").write_text(text)
    return folder


def test_of_the_bundled_models(warm: Warm) -> None:
    for name in ("bert-ner-1", "bert-ner-2", "resnet-digits-1", "resnet-digits-2"):
        assert warm(MODELS / name).sharing == TOGETHER


def test_also_where_no_batch_is_larger_than_one_row(warm: Warm, tmp_path: Path) -> None:
    random_graphs.independent(tmp_path / "good.onnx", 1)
    random_graphs.dependent(tmp_path / "bad.onnx", 1, "sums")
    assert warm(tmp_path / "good.onnx", max_batch=1).sharing == TOGETHER
    assert not warm(tmp_path / "bad.onnx", max_batch=1).sharing.rows


def test_but_not_by_lengths_where_padding_changes_answers(warm: Warm, tmp_path: Path) -> None:
    """The mean over all tokens, those of the padding among them."""
    folder = tmp_path / "mean"
    table = np.arange(1, 31, dtype=np.float32).reshape(10, 3)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["found"]),
        helper.make_node("ReduceMean", ["found"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
        helper.make_node("ReduceMax", ["mask"], ["one"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "one"], ["y"]),
    ]
    ins = [(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    graph(folder / "model.onnx", ins, [("y", TensorProto.FLOAT, ["batch", 3])], nodes, {"table": table})
    (folder / "config.json").write_text(json.dumps({"architectures": ["X"], "pad_token_id": 0}))
    (folder / "modelserve.yaml").write_text("task: tensor")
    loaded = warm(folder)
    assert (loaded.sharing.rows, loaded.sharing.lengths) == (True, False)
    assert loaded.remarks[0].startswith('only requests of one length share a run: output "y" changes')


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("batch", "rows"), 'input "x" calls its first axis "batch", and output "y" "rows"'),
        ((None, None), 'the first axis of input "x" has no name, so it may not count rows; '
         "`batching: true` says that it counts rows"),
    ],
)  # fmt: skip
def test_only_where_the_owner_says_so_if_names_say_nothing(
    warm: Warm, tmp_path: Path, names: Any, why: str
) -> None:
    def model(path: Path) -> None:
        random_graphs.independent(path, 3, names)

    assert warm(declared(tmp_path / "silent", "", model)).sharing == Sharing(False, False, why)
    assert warm(declared(tmp_path / "said", "batching: true", model)).sharing == TOGETHER
    assert warm(tmp_path / "silent", batching=True).sharing == TOGETHER, "the spec says so"
    assert not warm(tmp_path / "said", batching=False).sharing.rows, "the spec beats the package"


@pytest.mark.parametrize("word", ["none", "false"])
def test_by_nobody_where_the_owner_says_so(warm: Warm, tmp_path: Path, word: str) -> None:
    package = declared(tmp_path / "m", f"batching: {word}", lambda path: random_graphs.independent(path, 1))
    loaded = warm(package)
    assert loaded.sharing == Sharing(False, False, "its owner says batching: none")


def test_not_against_a_trial_which_the_owner_is_told_with_its_numbers(warm: Warm, tmp_path: Path) -> None:
    package = declared(
        tmp_path / "m", "batching: true", lambda path: random_graphs.dependent(path, 1, "sums")
    )
    with pytest.raises(InvalidPackage, match=r'batching: true .*: output "y" changes in company by [\d.]+%'):
        warm(package)


def test_not_of_a_model_that_answers_equal_inputs_differently(warm: Warm, tmp_path: Path) -> None:
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])]
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    loaded = warm(graph(tmp_path / "dice.onnx", *tensors, nodes))
    assert loaded.sharing.why.startswith("equal inputs get different answers: ")


def test_not_where_made_up_inputs_show_nothing(warm: Warm, tmp_path: Path) -> None:
    """Above its threshold, which no made-up input reaches, this model looks at the whole batch."""
    nodes = [
        helper.make_node("Sub", ["x", "much"], ["above"]),
        helper.make_node("Relu", ["above"], ["loud"]),
        helper.make_node("CumSum", ["loud", "rows"], ["y"]),
    ]
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    weights = {"much": np.array(1e6, np.float32), "rows": 0}
    loaded = warm(graph(tmp_path / "dead.onnx", *tensors, nodes, weights))
    assert loaded.sharing.why == "different inputs, as far as they are known, get equal answers"


def test_not_of_a_graph_that_fails_on_several_rows(warm: Warm, tmp_path: Path) -> None:
    nodes = [  # a shape that the engine does not see before it runs
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Sub", ["shape", "shape"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["wanted"]),
        helper.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    loaded = warm(graph(tmp_path / "one.onnx", *tensors, nodes, {"one": [1, 2]}))
    assert loaded.sharing.why.startswith("2 rows in one run: ")


# Engines other than ONNX Runtime.


def test_of_what_scikit_learn_trained_but_not_of_a_step_that_looks_at_the_batch(
    warm: Warm, tmp_path: Path
) -> None:
    joblib = pytest.importorskip("joblib")
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler, minmax_scale

    x = np.random.default_rng(0).normal(size=(50, 3))
    for name, step, rows in (
        ("fine", StandardScaler(), True),
        ("mixing", FunctionTransformer(minmax_scale), False),
    ):
        folder = tmp_path / name
        folder.mkdir()
        joblib.dump(make_pipeline(step, LinearRegression()).fit(x, x[:, 0]), folder / "model.joblib")
        (folder / "modelserve.yaml").write_text(
            "signature: {inputs: [{name: input, datatype: FP64, shape: [-1, 3]}],"
            " outputs: [{name: predict, datatype: FP64, shape: [-1]}]}"
        )
        assert warm(folder, allow_pickle=True).sharing.rows is rows


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_of_trees(warm: Warm, tmp_path: Path, library: str) -> None:
    engine = pytest.importorskip(library)
    x = np.random.default_rng(0).normal(size=(200, 3))
    if library == "xgboost":
        engine.train({}, engine.DMatrix(x, x[:, 0]), 3).save_model(tmp_path / "model.ubj")
    else:
        engine.train({"verbose": -1}, engine.Dataset(x, x[:, 0]), 3).save_model(tmp_path / "model.txt")
    assert warm(next(tmp_path.glob("model.*"))).sharing == TOGETHER


CODE = """
class Model:
    seen = 0
    def load(self, folder):
        pass
    def predict(self, inputs):
        x = inputs["x"]
        Model.seen += 1
        return {"y": %s}
"""


@pytest.mark.parametrize(
    ("answer", "rows"), [("x * 2", True), ("x - x.mean(axis=0)", False), ("x + Model.seen", False)]
)
def test_of_code_of_a_package(warm: Warm, tmp_path: Path, answer: str, rows: bool) -> None:
    """It runs in a process of its own; the last keeps something in mind."""
    (tmp_path / "model.py").write_text(CODE % f"({answer}).astype('float32')")
    tensor = "datatype: FP32, shape: [-1, 2]"
    (tmp_path / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert warm(tmp_path, allow_code=True).sharing.rows is rows


def test_of_a_server_elsewhere_only_if_the_owner_says_so(
    warm: Warm, start: Starter, tmp_path: Path, onnx_models: dict[str, Path]
) -> None:
    """The protocol has no names for axes; the other server forms batches of its own."""
    url = start(onnx_models["double"]).ready()
    tensor = {"datatype": "FP32", "shape": [-1, 2]}
    content = {
        "url": f"{url}/v2/models/m",
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
    }
    (tmp_path / "external.json").write_text(json.dumps(content))
    assert "has no name" in warm(tmp_path).sharing.why
    assert warm(tmp_path, batching=True).sharing == TOGETHER


# Who is told, and what clients get.


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


def test_is_told_in_log_metadata_and_announcement(start: Starter, tmp_path: Path) -> None:
    server = start(detector(tmp_path / "nms.onnx"))
    url = server.ready()
    why = 'input "boxes" calls its first axis "batch", and output "selected" "num_selected"'
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
