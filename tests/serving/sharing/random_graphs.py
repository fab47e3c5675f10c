"""Random ONNX graphs of two sorts: with rows that are independent, and with one operator that mixes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 16
"""Columns of ``x`` and of ``y``."""


class Sketch:
    """A graph while it is drawn: ``self.node(operator, *inputs)`` gives the name of the node's output."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"t{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0]

    def const(self, value: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def weight(self, *shape: int) -> str:
        return self.const((self.chance.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32))

    def save(
        self, path: Path, last: str, rows: tuple[str, str] = ("batch", "batch"), columns: int = WIDTH
    ) -> None:
        nodes = [*self.nodes, helper.make_node("Identity", [last], ["y"])]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows[0], WIDTH])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows[1], WIDTH])
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(nodes, path.stem, [x], [y], weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def _lstm(draw: Sketch, sequences: str, width: int) -> str:
    """[time, batch, width] to [batch, WIDTH], the last state."""
    hidden = draw.node(
        "LSTM", sequences, draw.weight(1, 4 * WIDTH, width), draw.weight(1, 4 * WIDTH, WIDTH),
        outputs=2, hidden_size=WIDTH,
    ).replace("_0", "_1")  # fmt: skip
    return draw.node("Squeeze", hidden, draw.const([0]))


def _by_rows(draw: Sketch, h: str) -> str:
    """A recurrent layer as it should be: the time is the second axis of the input."""
    steps = draw.node("Reshape", h, draw.const([0, 4, 4]))
    return _lstm(draw, draw.node("Transpose", steps, perm=[1, 0, 2]), 4)


INDEPENDENT: dict[str, Callable[[Sketch, str], str]] = {
    "dense": lambda d, h: d.node("Add", d.node("MatMul", h, d.weight(WIDTH, WIDTH)), d.weight(WIDTH)),
    "relu": lambda d, h: d.node("Relu", d.node("MatMul", h, d.weight(WIDTH, WIDTH))),
    "tanh": lambda d, h: d.node("Tanh", h),
    "softmax": lambda d, h: d.node("Softmax", h, axis=1),
    "norm": lambda d, h: d.node("LayerNormalization", h, d.weight(WIDTH), d.weight(WIDTH), axis=-1),
    "centred": lambda d, h: d.node("Sub", h, d.node("ReduceMean", h, axes=[1], keepdims=1)),
    "shuffled": lambda d, h: d.node("Gather", h, d.const(d.chance.permutation(WIDTH)), axis=1),
    "doubled": lambda d, h: d.node(
        "MatMul", d.node("Concat", h, d.node("Neg", h), axis=1), d.weight(2 * WIDTH, WIDTH)
    ),
    "within": lambda d, h: d.node("CumSum", h, d.const(1)),
    "recurrent": _by_rows,
}


def _quantised(draw: Sketch, h: str) -> str:
    scaled = draw.node("DynamicQuantizeLinear", h, outputs=3)
    parts = [scaled.replace("_0", f"_{index}") for index in range(3)]
    return draw.node("DequantizeLinear", *parts)


def _normalised(draw: Sketch, h: str) -> str:
    ones, zeros = draw.const(np.ones(WIDTH, np.float32)), draw.const(np.zeros(WIDTH, np.float32))
    return draw.node("BatchNormalization", h, ones, zeros, zeros, ones, outputs=3, training_mode=1)


def _rolled(draw: Sketch, h: str) -> str:
    first = draw.node("Slice", h, draw.const([0]), draw.const([1]), draw.const([0]))
    rest = draw.node("Slice", h, draw.const([1]), draw.const([2**31]), draw.const([0]))
    return draw.node("Concat", rest, first, axis=0)


def _attention(draw: Sketch, h: str) -> str:
    weights = draw.node("Softmax", draw.node("MatMul", h, draw.node("Transpose", h, perm=[1, 0])), axis=1)
    return draw.node("MatMul", weights, h)


def _over_time(draw: Sketch, h: str) -> str:
    """A recurrent layer whose time is the first axis of the input."""
    states = draw.node(
        "LSTM", draw.node("Unsqueeze", h, draw.const([1])), draw.weight(1, 4 * WIDTH, WIDTH),
        draw.weight(1, 4 * WIDTH, WIDTH), outputs=2, hidden_size=WIDTH,
    )  # fmt: skip
    return draw.node("Reshape", states, draw.const([-1, WIDTH]))


def _counted(draw: Sketch, h: str) -> str:
    count = draw.node("Gather", draw.node("Shape", h), draw.const(0))
    return draw.node("Div", h, draw.node("Cast", count, to=TensorProto.FLOAT))


def _branched(draw: Sketch, h: str) -> str:
    """As it is, unless some row has a large element: then all are centred on their mean."""
    largest = draw.node("ReduceMax", draw.node("Abs", h), keepdims=0)
    large = draw.node("Greater", largest, draw.const(np.float32(3)))
    return draw.node("Where", large, draw.node("Sub", h, draw.node("ReduceMean", h, axes=[0], keepdims=1)), h)


DEPENDENT: dict[str, Callable[[Sketch, str], str]] = {
    "sums": lambda d, h: d.node("CumSum", h, d.const(0)),
    "largest": lambda d, h: d.node("Sub", h, d.node("ReduceMax", h, axes=[0], keepdims=1)),
    "shares": lambda d, h: d.node("Softmax", h, axis=0),
    "mean": lambda d, h: d.node("Sub", h, d.node("ReduceMean", h, keepdims=0)),
    "reversed": lambda d, h: d.node(
        "Slice", h, d.const([-1]), d.const([-(2**31)]), d.const([0]), d.const([-1])
    ),
    "against_first": lambda d, h: d.node(
        "Sub", h, d.node("Slice", h, d.const([0]), d.const([1]), d.const([0]))
    ),
    "sorted": lambda d, h: d.node("TopK", h, d.node("Shape", h, start=0, end=1), axis=0, outputs=2),
    "normalised": _normalised,
    "quantised": _quantised,
    "rolled": _rolled,
    "attention": _attention,
    "over_time": _over_time,
    "counted": _counted,
    "branched": _branched,
}


def independent(path: Path, seed: int, rows: tuple[str, str] = ("batch", "batch")) -> None:
    """Write a graph of two to five operators that look at each row alone."""
    draw = Sketch(seed)
    h = "x"
    for name in draw.chance.choice(sorted(INDEPENDENT), draw.chance.integers(2, 6)):
        h = INDEPENDENT[name](draw, h)
    draw.save(path, h, rows)


def dependent(path: Path, seed: int, mixing: str) -> None:
    """Write a graph whose axes have the names of independent rows, with an operator that mixes them."""
    draw = Sketch(seed)
    h = "x"
    for name in draw.chance.choice(["dense", "relu", "shuffled", "doubled"], draw.chance.integers(0, 3)):
        h = INDEPENDENT[name](draw, h)
    draw.save(path, DEPENDENT[mixing](draw, h))


def compressing(path: Path) -> None:
    """Write a graph that answers with those rows alone whose first element is positive."""
    draw = Sketch(0)
    first = draw.node("Slice", "x", draw.const([0]), draw.const([1]), draw.const([1]))
    chosen = draw.node("Greater", draw.node("Reshape", first, draw.const([-1])), draw.const(np.float32(0)))
    draw.save(path, draw.node("Compress", "x", chosen, axis=0), ("batch", "chosen"))
