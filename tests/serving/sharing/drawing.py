"""Graphs and packages of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WAY_OUT = "if each row is answered by itself, say `batching: true`"


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


def graph(path: Path, ins: Any, outs: Any, nodes: Any, weights: Any = None, opset: int = 17) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*each) for each in ins],
        [helper.make_tensor_value_info(*each) for each in outs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )  # fmt: skip
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), output.split(), **attributes)


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
