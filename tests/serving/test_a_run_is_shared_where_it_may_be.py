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
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from modelserve.batching.cost import CostModel
from modelserve.batching.sharing import TOGETHER, Sharing
from modelserve.errors import InvalidPackage, Unavailable
from modelserve.runtimes.onnx import OnnxModel
from modelserve.serving.loading import load
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.warming.warmup import warm_up
from modelserve.settings import ServerSettings

from . import random_graphs
from .conftest import Starter

WAY_OUT = "if each row is answered by itself, say `batching: true`"
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


def graph(path: Path, ins: Any, outs: Any, nodes: Any, weights: Any = None, opset: int = 17) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*each) for each in ins],
        [helper.make_tensor_value_info(*each) for each in outs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )  # fmt: skip
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
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
        ((None, None), 'the first axis of input "x" has no name, so it may not count rows'),
    ],
)  # fmt: skip
def test_only_where_the_owner_says_so_if_names_say_nothing(
    warm: Warm, tmp_path: Path, names: Any, why: str
) -> None:
    def model(path: Path) -> None:
        random_graphs.independent(path, 3, names)

    told = warm(declared(tmp_path / "silent", "", model)).sharing
    assert told == Sharing(False, False, f"{why}; {WAY_OUT}")
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
    assert loaded.sharing.why.startswith("different inputs, as far as they are known, get equal answers")


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


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), output.split(), **attributes)


PEAK = [node("Cast", "x", "f", to=1), node("ReduceMax", "f", "m", keepdims=0), node("Div", "f m", "y")]
MASKED = [
    node("Cast", "mask", "m", to=1),
    node("ReduceSum", "m last", "used", keepdims=1),
    node("ReduceMax", "used", "most", axes=[0], keepdims=1),
    node("Div", "x most", "y"),
]
KINDS = {"f": TensorProto.FLOAT, "u8": TensorProto.UINT8, "i16": TensorProto.INT16, "i64": TensorProto.INT64,
         "bool": TensorProto.BOOL}  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "columns", "nodes", "weights"),
    [
        ({"x": ("u8", [8, 8, 3])}, [8, 8, 3], PEAK, {}),
        ({"x": ("i16", [400])}, [400], PEAK, {}),
        ({"x": ("i64", [3])}, [3], PEAK, {}),
        ({"x": ("f", [6]), "mask": ("i64", [6])}, [6], MASKED, {"last": [1]}),
        ({"x": ("f", [6]), "attention_mask": ("i64", [6])}, [6],
         [node("Identity", "attention_mask", "mask"), *MASKED], {"last": [1]}),
        ({"x": ("f", [6]), "mask": ("bool", [6])}, [6], MASKED, {"last": [1]}),
        ({"x": ("f", [6]), "mask": ("f", [6])}, [6], MASKED, {"last": [1]}),
        ({"flag": ("bool", [1])}, [1], [
            node("Cast", "flag", "f", to=1), node("ReduceMax", "f", "any", axes=[0], keepdims=1),
            node("Add", "f any", "y"),
        ], {}),
        ({"x": ("f", [16])}, [1], [
            node("Sqrt", "x", "root"), node("ReduceSum", "root last", "sum", keepdims=1),
            node("ReduceMax", "sum", "most", axes=[0], keepdims=1), node("Div", "sum most", "y"),
        ], {"last": [1]}),
        ({"x": ("f", [2])}, [2], [
            node("Max", "x ten", "large"), node("ReduceMax", "large", "most", axes=[0], keepdims=1),
            node("Sub", "large most", "y"),
        ], {"ten": np.array(10, np.float32)}),
        ({"x": ("f", [2])}, [2], [
            node("Max", "x some", "large"), node("ReduceMax", "large", "most", axes=[0], keepdims=1),
            node("Sub", "large most", "y"),
        ], {"some": np.array(500, np.float32)}),
        ({"x": ("i64", [1])}, [1], [
            node("Cast", "x", "f", to=1), node("Max", "f some", "large"),
            node("ReduceMax", "large", "most", axes=[0], keepdims=1), node("Sub", "large most", "y"),
        ], {"some": np.array(20, np.float32)}),
    ],
    ids=["bytes", "sound", "few whole numbers", "a mask", "a mask by its usual name", "truth values",
         "real mask", "one truth value", "roots", "above ten", "above five hundred", "one whole number"],
)  # fmt: skip
def test_not_where_rows_depend_on_each_other_for_some_inputs_alone(
    warm: Warm, tmp_path: Path, inputs: Any, columns: Any, nodes: Any, weights: Any
) -> None:
    ins = [(name, KINDS[kind], ["n", *shape]) for name, (kind, shape) in inputs.items()]
    outs = [("y", TensorProto.FLOAT, ["n", *columns])]
    loaded = warm(graph(tmp_path / "m.onnx", ins, outs, nodes, weights))
    assert not loaded.sharing.rows


def test_not_where_the_longest_text_of_a_run_decides_how_long_all_answers_are(
    warm: Warm, tmp_path: Path
) -> None:
    """No made-up text holds a comma, so a trial sees one piece of each."""
    nodes = [node("StringSplit", "texts", "pieces counts", delimiter=",")]
    ins = [("texts", TensorProto.STRING, ["n"])]
    outs = [("pieces", TensorProto.STRING, ["n", "most"]), ("counts", TensorProto.INT64, ["n"])]
    loaded = warm(graph(tmp_path / "m.onnx", ins, outs, nodes, opset=20))
    assert loaded.sharing.why == "its operator StringSplit looks at all rows of a run together"


def test_not_where_rows_are_left_out_whatever_the_first_axis_is_called(warm: Warm, tmp_path: Path) -> None:
    """It leaves out what is below a bound that no made-up input reaches."""
    nodes = [
        node("ReduceMin", "x", "least", axes=[1], keepdims=0),
        node("Greater", "least bound", "kept"),
        node("Compress", "x kept", "y", axis=0),
    ]
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    loaded = warm(graph(tmp_path / "m.onnx", *tensors, nodes, {"bound": np.array(-1e6, np.float32)}))
    assert loaded.sharing.why == "its operator Compress looks at all rows of a run together"


STEP = [node("Gather", "after v", "w"), node("Equal", "w end", "ended"), node("Cast", "ended", "e", to=7),
        node("ReduceMin", "e", "all", keepdims=0), node("Cast", "all", "done", to=9),
        node("Not", "done", "on"), node("Identity", "w", "scan")]  # fmt: skip


def test_not_where_a_loop_goes_on_until_all_rows_are_done(warm: Warm, tmp_path: Path) -> None:
    """Each row steps from a number to the next; no made-up one meets the end."""
    after = np.arange(1000)
    after[:300] = (after[:300] * 7 + 3) % 300
    after[301:310] = after[300:309]
    info, scalar = helper.make_tensor_value_info, []
    body = helper.make_graph(
        STEP, "step",
        [info("i", TensorProto.INT64, scalar), info("c", TensorProto.BOOL, scalar),
         info("v", TensorProto.INT64, ["k"])],
        [info("on", TensorProto.BOOL, scalar), info("w", TensorProto.INT64, ["k"]),
         info("scan", TensorProto.INT64, ["k"])],
        [numpy_helper.from_array(after, "after"), numpy_helper.from_array(np.array(300), "end")],
    )  # fmt: skip
    nodes = [
        node("Loop", "most go token", "last scans", body=body),
        node("Transpose", "scans", "out", perm=[1, 0]),
    ]
    loaded = warm(
        graph(
            tmp_path / "m.onnx", [("token", TensorProto.INT64, ["batch"])],
            [("out", TensorProto.INT64, ["batch", "steps"])], nodes, {"most": 12, "go": True},
        )
    )  # fmt: skip
    assert loaded.sharing.why == (
        'output "out" has an axis "steps" that no input has, and its operator Loop may go on until all rows '
        "of a run are done"
    )


def test_not_where_the_greatest_count_of_a_run_decides_how_long_all_answers_are(
    warm: Warm, tmp_path: Path
) -> None:
    ins = [("x", TensorProto.FLOAT, ["n", "t", 4]), ("lengths", TensorProto.INT64, ["n"])]
    nodes = [
        node("ReduceMax", "lengths", "most", keepdims=1),
        node("Slice", "x zero most one", "y"),
    ]
    outs = [("y", TensorProto.FLOAT, ["n", "used", 4])]
    loaded = warm(graph(tmp_path / "m.onnx", ins, outs, nodes, {"zero": [0], "one": [1]}))
    assert "has shape" in loaded.sharing.why


def test_not_where_what_is_no_number_is_filled_from_other_rows(warm: Warm, tmp_path: Path) -> None:
    nodes = [
        node("IsNaN", "x", "gone"), node("Where", "gone zero x", "known"),
        node("ReduceMean", "known", "mean", axes=[0], keepdims=1), node("Where", "gone mean x", "y"),
    ]  # fmt: skip
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    loaded = warm(graph(tmp_path / "m.onnx", *tensors, nodes, {"zero": np.array(0, np.float32)}))
    assert not loaded.sharing.rows

    (tmp_path / "model.py").write_text(
        "import numpy as np\n" + CODE % "np.where(np.isnan(x), np.nanmean(x, axis=0), x)"
    )
    tensor = "datatype: FP32, shape: [-1, 2]"
    (tmp_path / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    (tmp_path / "m.onnx").unlink()
    assert not warm(tmp_path, allow_code=True).sharing.rows


TABLE = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
EMBEDDED = [node("Gather", "table input_ids", "e"), node("Cast", "attention_mask", "mask", to=1)]
MEAN = [
    *EMBEDDED, node("Unsqueeze", "mask two", "mask3"), node("Mul", "e mask3", "used"),
    node("ReduceSum", "used one", "sum", keepdims=0), node("ReduceSum", "mask one", "count", keepdims=1),
    node("Div", "sum count", "mean"),
]  # fmt: skip
LAST = [
    *EMBEDDED, node("Gather", "attention_mask minus", "ends", axis=1),
    node("ReduceSum", "ends", "full", keepdims=0),
    node("Shape", "attention_mask", "shape"), node("Gather", "shape zero", "rows"),
    node("Equal", "full rows", "left"), node("ReduceSum", "attention_mask one", "count", keepdims=0),
    node("Sub", "count uno", "at"), node("Unsqueeze", "at one", "at2"),
    node("GatherND", "e at2", "by_count", batch_dims=1), node("Gather", "e minus", "by_end", axis=1),
    node("Where", "left by_end by_count", "y"),
]  # fmt: skip
NUMBERS = {
    "table": TABLE,
    "one": [1],
    "two": [2],
    "uno": np.array(1),
    "zero": np.array(0),
    "minus": np.array(-1),
    "zeroth": [0],
}


def text_model(folder: Path, nodes: Any, axes: Any) -> Path:
    used = {name for each in nodes for name in each.input}
    ins = [(name, TensorProto.INT64, ["batch", "seq"]) for name in ("input_ids", "attention_mask")]
    weights = {name: value for name, value in NUMBERS.items() if name in used}
    graph(folder / "model.onnx", ins, [("y", TensorProto.FLOAT, axes)], nodes, weights)
    (folder / "config.json").write_text(json.dumps({"architectures": ["X"], "pad_token_id": 0}))
    (folder / "modelserve.yaml").write_text("task: tensor")
    return folder


def tokens(count: int, mask: list[int] | None = None) -> Any:
    ids = np.arange(1, count + 1).reshape(1, count)
    return {"input_ids": ids, "attention_mask": np.array([mask or [1] * count])}


def test_not_where_one_text_decides_for_a_run_on_which_side_it_is_padded(warm: Warm, tmp_path: Path) -> None:
    """The usual pooling of the last token, which takes a run for padded on the left where all rows end with a
    token."""
    assert not warm(text_model(tmp_path / "last", LAST, ["batch", 8])).sharing.rows


def test_and_an_answer_keeps_its_width_where_that_is_not_the_length_of_the_text(
    warm: Warm, tmp_path: Path
) -> None:
    """The width is free in the graph, and by chance that of the longest text of the run."""
    wide = [
        *MEAN, node("Shape", "mean", "n", start=0, end=1), node("Unsqueeze", "minus zeroth", "rest"),
        node("Concat", "n rest", "shape", axis=0), node("Reshape", "mean shape", "y"),
    ]  # fmt: skip
    loaded = warm(text_model(tmp_path / "wide", wide, ["batch", "dim"]))
    assert loaded.sharing == Sharing(True, widths=frozenset({"y"}))
    rows = [tokens(8), tokens(6)]
    fits = [loaded.joiner.fit(row) for row in rows]
    assert fits[0].kind == fits[1].kind
    pieces = loaded.joiner.split(loaded.model.predict(loaded.joiner.assemble(rows, fits)), fits)
    for row, piece in zip(rows, pieces, strict=True):
        np.testing.assert_allclose(piece["y"], loaded.model.predict(row)["y"], rtol=1e-4)


def test_not_where_missing_values_are_filled_from_other_rows(warm: Warm, tmp_path: Path) -> None:
    mean = "import numpy as np\n" + CODE % "np.where(np.isnan(x), np.nanmean(x, axis=0), x)"
    (tmp_path / "model.py").write_text(mean)
    tensor = "datatype: FP32, shape: [-1, 2]"
    (tmp_path / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}, nullable: true}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert not warm(tmp_path, allow_code=True).sharing.rows


def test_by_models_that_take_only_some_inputs(warm: Warm, tmp_path: Path) -> None:
    """Code that wants positive amounts, and one input that must be one."""
    (tmp_path / "model.py").write_text(
        "class Model:\n"
        "    def load(self, folder):\n        pass\n"
        "    def predict(self, inputs):\n"
        "        if (inputs['x'] < 0).any() or (inputs['one'] != 1).any():\n"
        "            raise ValueError('not such')\n"
        "        return {'y': inputs['x'] * 2}\n"
    )
    (tmp_path / "modelserve.yaml").write_text(
        "signature:\n  inputs:\n  - {name: x, datatype: FP32, shape: [-1, 2]}\n"
        "  - {name: one, datatype: INT64, shape: [-1, 2]}\n"
        "  outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]"
    )
    assert warm(tmp_path, allow_code=True).sharing.rows


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
    if not rows:
        with pytest.raises(InvalidPackage, match=r"batching: true .* by [\d.]+"):
            warm(tmp_path, allow_code=True, batching=True)


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


def test_of_texts_not_by_lengths_although_the_first_is_a_single_word(warm: Warm, tmp_path: Path) -> None:
    """The mean over all tokens; the reference rows are of one token and of five."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "Ada": 1, "met": 2, "Bob": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    ins = [(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    nodes = [
        node("Gather", "table input_ids", "found"),
        node("ReduceMean", "found", "mean", axes=[1], keepdims=1),
        node("Cast", "attention_mask", "seen", to=1),
        node("Unsqueeze", "seen two", "seen3"),
        node("Mul", "seen3 nothing", "zero"),
        node("Add", "zero mean", "spread"),
        node("Add", "spread found", "logits"),
    ]
    weights = {"table": np.arange(12, dtype=np.float32).reshape(4, 3), "two": [2], "nothing": np.float32(0)}
    graph(
        tmp_path / "m" / "model.onnx",
        ins,
        [("logits", TensorProto.FLOAT, ["batch", "tokens", 3])],
        nodes,
        weights,
    )
    tokenizer.save(str(tmp_path / "m" / "tokenizer.json"))
    config = {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-A", "2": "I-A"}}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "modelserve.yaml").write_text("reference: rows.jsonl")
    (tmp_path / "m" / "rows.jsonl").write_text('{"text": "Ada"}\n{"text": "Ada met Bob met Ada"}\n')
    sharing = warm(tmp_path / "m").sharing
    assert (sharing.rows, sharing.lengths) == (True, False)


def test_not_on_the_word_of_an_engine_that_was_away(warm: Warm, tmp_path: Path, monkeypatch: Any) -> None:
    """What could not be tried is no proof: not against an owner's word either."""
    random_graphs.independent(tmp_path / "m.onnx", 1)

    def away(model: OnnxModel, tensors: Any, outputs: Any = ()) -> Any:
        if len(tensors["x"]) > 1:
            raise Unavailable("the engine is out of reach")
        return predict(model, tensors, outputs)

    predict = OnnxModel.predict
    monkeypatch.setattr(OnnxModel, "predict", away)
    assert warm(tmp_path / "m.onnx").doubts == ("the warm-up failed: the engine is out of reach",)
    assert warm(tmp_path / "m.onnx", batching=True).sharing == TOGETHER


# Who is told, and what clients get.


def test_a_sequence_may_be_longer_than_a_request_may_have_rows(start: Starter, tmp_path: Path) -> None:
    random_graphs.dependent(tmp_path / "m.onnx", 1, "over_time")
    url = start(tmp_path / "m.onnx", max_items=10).ready()
    x = np.ones((50, random_graphs.WIDTH), np.float32)
    assert infer(url, x=x).shape == x.shape


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
