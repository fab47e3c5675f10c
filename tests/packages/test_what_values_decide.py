"""What values of a graph's inputs decide for all rows of a run, told from what shapes and weights decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelserve.packages.operators.decisions import decision

WEIGHTS = {
    "zero": np.int64(0), "one": np.int64(1), "zeros": [0], "ones": [1], "ends": [9], "most": np.int64(5),
    "go": np.bool_(True), "half": np.float32(0.5), "pair": np.array([0, 1], np.float32),
}  # fmt: skip


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    """``-`` is an absent one."""
    taken, given = ([name.strip("-") for name in names.split()] for names in (inputs, output))
    return helper.make_node(operator, taken, given, **attributes)


def value(name: str, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, None)


def save(folder: Path, *nodes: Any, functions: Any = (), inputs: str = "x ids") -> Path:
    graph = helper.make_graph(
        list(nodes), "g", [value(name) for name in inputs.split()], [value("y")],
        [numpy_helper.from_array(np.asarray(data), name) for name, data in WEIGHTS.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, functions=functions), folder / "m.onnx")
    return folder / "m.onnx"


LARGEST = [node("ReduceMax", "ids", "top", keepdims=0), node("Reshape", "top ones", "n")]
DIMENSION = [node("Shape", "x", "shape"), node("Slice", "shape zeros ones", "n")]


def branch(name: str, *nodes: Any, **tensors: str) -> Any:
    inputs, outputs = tensors.get("inputs", ""), tensors["outputs"]
    return helper.make_graph(
        list(nodes), name, [value(each) for each in inputs.split()], [value(each) for each in outputs.split()]
    )


LENGTHS = {
    "Slice": [node("Slice", "x zeros n", "y")],
    "OneHot": [node("Squeeze", "n", "depth"), node("OneHot", "ids depth pair", "y")],
    "Range": [node("Squeeze", "n", "end"), node("Range", "zero end one", "y")],
    "Expand": [node("Expand", "x n", "y")],
    "Tile": [node("Tile", "x n", "y")],
    "Pad": [node("Pad", "x n", "y")],
    "Reshape": [node("Reshape", "x n", "y")],
    "TopK": [node("TopK", "x n", "y places")],
    "ConstantOfShape": [node("ConstantOfShape", "n", "y")],
    "Resize": [node("Resize", "x - - n", "y")],
    "HannWindow": [node("Squeeze", "n", "size"), node("HannWindow", "size", "y")],
}


@pytest.mark.parametrize("operator", LENGTHS)
def test_is_a_length_by_some_value_but_not_by_a_length(tmp_path: Path, operator: str) -> None:
    told = f"values of its inputs decide a length for all rows of a run (operator {operator})"
    assert decision(save(tmp_path, *LARGEST, *LENGTHS[operator])) == told
    assert decision(save(tmp_path, *DIMENSION, *LENGTHS[operator])) == ""


def test_is_the_length_of_a_list_of_places_unless_it_is_filled_in_again(tmp_path: Path) -> None:
    places = [
        node("NonZero", "x", "found"),
        node("Transpose", "found", "places"),
        node("GatherND", "x places", "z"),
    ]
    assert decision(save(tmp_path, *places, node("Neg", "z", "y"))).endswith("(operator NonZero)")
    assert decision(save(tmp_path, *places, node("ScatterND", "x places z", "y"))) == ""
    counted = [node("Shape", "z", "shape"), node("Expand", "half shape", "y")]
    assert decision(save(tmp_path, *places, *counted)).endswith("(operator Expand)")
    assert decision(save(tmp_path, node("NonZero", "pair", "found"), node("Gather", "x found", "y"))) == ""


def test_is_a_scale_or_a_bound(tmp_path: Path) -> None:
    by_hand = [node("ReduceMax", "x", "top", keepdims=0), node("Mul", "top half", "scale")]
    assert "a scale" in decision(save(tmp_path, *by_hand, node("QuantizeLinear", "x scale", "y")))
    assert decision(save(tmp_path, node("QuantizeLinear", "x half", "y"))) == ""
    assert "a bound" in decision(save(tmp_path, *by_hand, node("Clip", "x - top", "y")))
    assert decision(save(tmp_path, node("Clip", "x - half", "y"))) == ""


def test_is_a_branch(tmp_path: Path) -> None:
    graphs = {
        "then_branch": branch("a", node("Neg", "x", "a"), outputs="a"),
        "else_branch": branch("b", node("Abs", "x", "b"), outputs="b"),
    }
    by_value = [node("ReduceMax", "x", "top", keepdims=0), node("Greater", "top half", "large")]
    assert "a branch" in decision(save(tmp_path, *by_value, node("If", "large", "y", **graphs)))
    by_length = [*DIMENSION, node("Squeeze", "n", "count"), node("Greater", "count most", "large")]
    assert decision(save(tmp_path, *by_length, node("If", "large", "y", **graphs))) == ""


def test_is_also_inside_of_a_branch_whose_outputs_go_on(tmp_path: Path) -> None:
    graphs = {
        "then_branch": branch("a", node("ReduceMax", "ids", "a", keepdims=1), outputs="a"),
        "else_branch": branch("b", node("Identity", "ones", "b"), outputs="b"),
    }
    assert decision(save(tmp_path, node("If", "go", "n", **graphs), node("Tile", "x n", "y"))).endswith(
        "(operator Tile)"
    )


def rounds(*nodes: Any) -> Any:
    body = branch("body", *nodes, inputs="at on state", outputs="further next")
    return node("Loop", "most go x", "y", body=body)


def test_is_how_often_a_loop_goes_round(tmp_path: Path) -> None:
    step, kept = node("Mul", "state half", "next"), node("Identity", "on", "further")
    assert decision(save(tmp_path, rounds(step, kept))) == ""
    small = [node("ReduceMax", "state", "top", keepdims=0), node("Greater", "top half", "further")]
    assert "the number of rounds" in decision(save(tmp_path, rounds(step, *small)))
    for inputs in ("n go x", "most n x"):
        loop = rounds(step, kept)
        loop.input[:] = inputs.split()
        assert "the number of rounds" in decision(save(tmp_path, *LARGEST, loop))


def test_is_also_what_a_round_takes_from_the_one_before(tmp_path: Path) -> None:
    """A length that is a value only after the first round."""
    body = branch(
        "body", node("Identity", "on", "further"), node("Tile", "x count", "tiled"),
        node("ReduceMax", "ids", "counted", keepdims=1),
        inputs="at on count", outputs="further counted tiled",
    )  # fmt: skip
    loop = node("Loop", "most go ones", "last y", body=body)
    assert decision(save(tmp_path, loop)).endswith("(operator Tile)")


def test_is_also_inside_of_a_function_by_what_it_is_called_with(tmp_path: Path) -> None:
    function = helper.make_function(
        "own", "Repeat", ["data", "times"], ["out"], [node("Tile", "data times", "out")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    call = node("Repeat", "x n", "y", domain="own")
    assert decision(save(tmp_path, *LARGEST, call, functions=[function])).endswith("(operator Tile)")
    assert decision(save(tmp_path, *DIMENSION, call, functions=[function])) == ""


def chain(depth: int, *last: Any) -> list[Any]:
    """Functions of which each calls the next one twice."""
    opsets = [helper.make_opsetid("", 17)]
    calls = [
        [node(f"F{at + 1}", "a n", "c", domain="own"), node(f"F{at + 1}", "c n", "b", domain="own")]
        for at in range(depth)
    ]
    return [
        helper.make_function("own", f"F{at}", ["a", "n"], ["b"], nodes, opsets)
        for at, nodes in enumerate([*calls, [*last]])
    ]


def test_is_followed_once_through_what_is_called_again_and_again(tmp_path: Path) -> None:
    call = node("F0", "x n", "y", domain="own")
    for depth, last in ((40, node("Neg", "a", "b")), (40, node("Tile", "a n", "b"))):
        functions = chain(depth, last)
        assert decision(save(tmp_path, *DIMENSION, call, functions=functions)) == ""
        told = decision(save(tmp_path, *LARGEST, call, functions=functions))
        assert told.endswith("(operator Tile)") is (last.op_type == "Tile")
    assert decision(save(tmp_path, call, functions=chain(0, node("F0", "a n", "b", domain="own")))) == ""
    deep = chain(500, node("Neg", "a", "b"))
    assert decision(save(tmp_path, *DIMENSION, call, functions=deep)).endswith("to be followed")


def test_is_found_in_a_loop_of_a_loop_that_only_a_later_round_shows(tmp_path: Path) -> None:
    inner = branch(
        "inner", node("Identity", "on2", "further2"), node("Tile", "x second", "tiled2"),
        node("Identity", "first", "next2"), inputs="at2 on2 second", outputs="further2 next2 tiled2",
    )  # fmt: skip
    outer = branch(
        "outer", node("Identity", "on", "further"), node("Loop", "most go ones", "last2 tiled", body=inner),
        node("ReduceMax", "ids", "counted", keepdims=1),
        inputs="at on first", outputs="further counted tiled",
    )  # fmt: skip
    assert decision(save(tmp_path, node("Loop", "most go ones", "last y", body=outer))).endswith(
        "(operator Tile)"
    )


def test_is_nothing_that_the_file_itself_holds(tmp_path: Path) -> None:
    """Older files list their weights among the inputs."""
    assert decision(save(tmp_path, node("Tile", "x ones", "y"), inputs="x ids ones")) == ""


def test_is_the_length_of_what_a_scan_goes_through(tmp_path: Path) -> None:
    body = branch("body", node("Identity", "half", "made"), inputs="each", outputs="made")
    nodes = [node("NonZero", "x", "found"), node("Scan", "found", "y", body=body, num_scan_inputs=1)]
    assert decision(save(tmp_path, *nodes)).endswith("(operator NonZero)")


def test_is_nothing_where_an_input_or_an_output_is_absent(tmp_path: Path) -> None:
    nodes = [node("Dropout", "x", "z -"), node("Resize", "z - half", "y")]
    assert decision(save(tmp_path, *nodes)) == ""


def test_is_not_asked_of_other_files(tmp_path: Path) -> None:
    for name, content in (("m.pt", b"PK"), ("empty.onnx", b""), ("broken.onnx", b'"\x09Bernou')):
        (tmp_path / name).write_bytes(content)
        assert decision(tmp_path / name) == ""
