"""Writes ONNX graphs node by node, with random weights, in the shapes that a torch export has.

ONNX Runtime fuses attention, layer normalisation and GELU only where it knows the pattern; these are its
patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9


class Graph:
    """A graph that grows by one node per call; every call gives the name of what the node puts out."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._shapes: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any) -> str:
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def shaped(self, x: str, *shape: Any) -> str:
        """Tell the engine the shape of ``x``, where it can't work it out and fuses nothing without it."""
        self._shapes.append(real(x, *shape))
        return x

    def random(self, *shape: int, scale: float) -> str:
        """A float32 weight from the normal distribution of that standard deviation."""
        return self.constant(scale * self._random.standard_normal(shape, np.float32))

    def linear(self, x: str, rows: int, columns: int) -> str:
        """``x @ W + b`` for ``W`` [rows, columns]."""
        product = self.node("MatMul", x, self.random(rows, columns, scale=rows**-0.5))
        return self.node("Add", product, self.random(columns, scale=0.02))

    def normalised(self, x: str, width: int) -> str:
        """Layer normalisation over the last axis."""
        ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
        return self.node(
            "LayerNormalization", x, self.constant(ones), self.constant(zeros), axis=-1, epsilon=1e-12
        )

    def gelu(self, x: str) -> str:
        halved = self.node("Div", x, self.constant(np.float32(2**0.5)))
        raised = self.node("Add", self.node("Erf", halved), self.constant(np.float32(1)))
        return self.node("Mul", self.node("Mul", x, raised), self.constant(np.float32(0.5)))

    def convolution(self, x: str, given: int, made: int, side: int, stride: int = 1) -> str:
        """A convolution with its batch normalisation already folded in, scaled for the ReLU after it."""
        kernel = self.random(made, given, side, side, scale=(2 / (given * side * side)) ** 0.5)
        bias, pad = self.random(made, scale=0.01), side // 2
        return self.node(
            "Conv", x, kernel, bias, kernel_shape=[side] * 2, strides=[stride] * 2, pads=[pad] * 4
        )

    def save(self, path: Path, inputs: Sequence[Any], result: str, shape: Sequence[Any]) -> None:
        """Write the model; ``inputs`` are value infos, ``result`` goes out as ``logits``."""
        self._nodes.append(helper.make_node("Identity", [result], ["logits"]))
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(shape))
        graph = helper.make_graph(
            self._nodes, path.stem, list(inputs), [output], self._weights, value_info=self._shapes
        )
        opsets = [helper.make_opsetid("", OPSET)]
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), half)
        half.replace(path)


def real(name: str, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def whole(name: str, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.INT64, list(shape))
