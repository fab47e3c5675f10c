"""Rows that depend on each other, some of them for some inputs alone, share no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from .conftest import Warm
from .drawing import CODE, WAY_OUT, graph, node

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
    decided = "values of its inputs decide the number of rounds for all rows of a run (operator Loop)"
    assert loaded.sharing.why == f"{decided}; {WAY_OUT}"


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
    decided = "values of its inputs decide a length for all rows of a run (operator Slice)"
    assert loaded.sharing.why == f"{decided}; {WAY_OUT}"


def test_not_where_one_row_decides_which_way_all_go(warm: Warm, tmp_path: Path) -> None:
    """Above a bound that no made-up input reaches."""
    ways = {
        f"{name}_branch": helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, 1, None)])
        for name, nodes in {
            "then": [node("ReduceMean", "x", "m", axes=[0], keepdims=1), node("Sub", "x m", "then")],
            "else": [node("Identity", "x", "else")],
        }.items()
    }
    nodes = [node("ReduceMax", "x", "top", keepdims=0), node("Greater", "top much", "large"),
             node("If", "large", "y", **ways)]  # fmt: skip
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    loaded = warm(graph(tmp_path / "m.onnx", *tensors, nodes, {"much": np.array(1e6, np.float32)}))
    assert loaded.sharing.why.startswith("values of its inputs decide a branch for all rows")


GENERATES = """
import numpy as np
class Model:
    def load(self, folder):
        pass
    def predict(self, inputs):
        token = inputs["token"].reshape(len(inputs["token"]), -1)[:, 0]
        out, done = [token], token == 300
        while len(out) < 13 and not done.all():
            token = np.where(done, 0, (token * 7 + 3) % 300 if token.max() < 900 else token + 1)
            done |= token == 300
            out.append(token)
        return {"tokens": np.stack(out, 1)}
"""


@pytest.mark.parametrize("shape", ["[-1]", "[-1, -1]"])
def test_not_where_the_longest_answer_of_a_run_decides_how_long_all_are(
    warm: Warm, tmp_path: Path, shape: str
) -> None:
    """Code that generates until every row is done; no made-up row is."""
    (tmp_path / "model.py").write_text(GENERATES)
    declared = (
        f"signature: {{inputs: [{{name: token, datatype: INT64, shape: {shape}}}], "
        "outputs: [{name: tokens, datatype: INT64, shape: [-1, -1]}]}"
    )
    (tmp_path / "modelserve.yaml").write_text(declared)
    alone = warm(tmp_path, allow_code=True).sharing
    assert not alone.rows
    assert 'output "tokens"' in alone.why
    assert alone.why.endswith(WAY_OUT)
    (tmp_path / "modelserve.yaml").write_text(f"{declared}\nbatching: true")
    assert warm(tmp_path, allow_code=True).sharing.rows


def test_but_an_answer_may_be_as_long_as_an_input(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(CODE % "x * 2")
    tensor = "datatype: FP32, shape: [-1, -1]"
    (tmp_path / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert warm(tmp_path, allow_code=True).sharing.rows


@pytest.mark.parametrize(
    "gone",
    [
        [node("IsNaN", "x", "gone")],
        [node("Equal", "x x", "same"), node("Not", "same", "gone")],
        [node("IsInf", "x", "gone")],
    ],
    ids=["not a number", "not equal to itself", "infinite"],
)
def test_not_where_what_is_no_number_is_filled_from_other_rows(
    warm: Warm, tmp_path: Path, gone: list[Any]
) -> None:
    nodes = [
        *gone, node("Where", "gone zero x", "known"),
        node("ReduceMean", "known", "mean", axes=[0], keepdims=1), node("Where", "gone mean x", "y"),
    ]  # fmt: skip
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    loaded = warm(graph(tmp_path / "m.onnx", *tensors, nodes, {"zero": np.array(0, np.float32)}))
    assert not loaded.sharing.rows


def test_not_where_code_fills_it_from_other_rows(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "import numpy as np\n" + CODE % "np.where(np.isnan(x), np.nanmean(x, axis=0), x)"
    )
    tensor = "datatype: FP32, shape: [-1, 2]"
    (tmp_path / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert not warm(tmp_path, allow_code=True).sharing.rows


def test_not_where_missing_values_are_filled_from_other_rows(warm: Warm, tmp_path: Path) -> None:
    mean = "import numpy as np\n" + CODE % "np.where(np.isnan(x), np.nanmean(x, axis=0), x)"
    (tmp_path / "model.py").write_text(mean)
    tensor = "datatype: FP32, shape: [-1, 2]"
    (tmp_path / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}, nullable: true}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert not warm(tmp_path, allow_code=True).sharing.rows


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


def test_not_of_a_model_that_answers_equal_inputs_differently(warm: Warm, tmp_path: Path) -> None:
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])]
    tensors = [[(name, TensorProto.FLOAT, ["n", 2])] for name in "xy"]
    loaded = warm(graph(tmp_path / "dice.onnx", *tensors, nodes))
    assert loaded.sharing.why.startswith("equal inputs get different answers: ")
