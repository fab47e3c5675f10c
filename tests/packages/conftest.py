"""Tiny graphs and folders, built on the spot."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

LABELS = ("O", "B-PER", "I-PER")
Axis = int | str


def save(path: Path, inputs: Any, outputs: Any, nodes: Any, weights: Any = (), opset: int = 18) -> Path:
    """Write a graph; inputs and outputs are (name, element type, shape)."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(weights).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def save_graph() -> Callable[..., Path]:
    return save


@pytest.fixture
def save_relu() -> Callable[..., Path]:
    """y = max(x, 0), the smallest model that there is."""

    def build(
        path: Path, kind: int = TensorProto.FLOAT, shape: Sequence[Axis] = ("batch", 4), opset: int = 18
    ) -> Path:
        node = helper.make_node("Relu", ["x"], ["y"])
        return save(path, [("x", kind, shape)], [("y", kind, shape)], [node], opset=opset)

    return build


def save_text_model(path: Path, inputs: Sequence[str], tokens: Axis, classes: int, opset: int = 18) -> Path:
    """One row of logits per token id; the other inputs add nothing."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["first"])]
    last = "first"
    for name in inputs[1:]:
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_f", "nil"], [f"{name}_0"]),
            helper.make_node("Unsqueeze", [f"{name}_0", "two"], [f"{name}_3d"]),
            helper.make_node("Add", [last, f"{name}_3d"], [f"after_{name}"]),
        ]
        last = f"after_{name}"
    nodes.append(helper.make_node("Identity", [last], ["logits"]))
    weights = {
        "table": np.zeros((16, classes), np.float32),
        "nil": np.zeros((), np.float32),
        "two": np.array([2], np.int64),
    }
    return save(
        path,
        [(name, TensorProto.INT64, ["batch", tokens]) for name in inputs],
        [("logits", TensorProto.FLOAT, ["batch", tokens, classes])],
        nodes,
        weights,
        opset,
    )


@pytest.fixture
def text_folder(tmp_path: Path) -> Callable[..., Path]:
    """A Hugging Face folder for token classification; ``config`` overrides keys (None removes one)."""

    def build(
        config: dict[str, Any] | None = None,
        inputs: Sequence[str] = ("input_ids", "attention_mask"),
        tokens: Axis = "tokens",
        classes: int = len(LABELS),
        model_file: str = "model.onnx",
    ) -> Path:
        folder = tmp_path / "ner"
        save_text_model(folder / model_file, inputs, tokens, classes)
        whole = {
            "architectures": ["BertForTokenClassification"],
            "id2label": {str(i): label for i, label in enumerate(LABELS)},
            "pad_token_id": 7,
        } | (config or {})
        kept = {key: value for key, value in whole.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept), "utf-8")
        (folder / "tokenizer.json").write_text("{}", "utf-8")
        return folder

    return build


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """A Hugging Face folder for image classification over two labels, or ``classes``; a name leaves the axis
    open. Keywords override keys of config.json (None removes one)."""

    def build(
        shape: Sequence[Axis] = ("batch", 3, 8, 8),
        kind: int = TensorProto.FLOAT,
        classes: Axis = 2,
        **config: Any,
    ) -> Path:
        folder = tmp_path / "digits"
        mean = [
            helper.make_node("Flatten", ["real"], ["flat"]),
            helper.make_node("ReduceMean", ["flat", "one"], ["mean"]),
            helper.make_node("Concat", ["mean"] * int(classes), ["logits"], axis=1),
        ] if isinstance(classes, int) else [helper.make_node("Flatten", ["real"], ["logits"])]  # fmt: skip
        save(
            folder / "model.onnx",
            [("pixel_values", kind, shape)],
            [("logits", TensorProto.FLOAT, ["batch", classes])],
            [helper.make_node("Cast", ["pixel_values"], ["real"], to=TensorProto.FLOAT), *mean],
            {"one": np.array([1], np.int64)},
        )
        whole = {"architectures": ["ResNetForImageClassification"], "id2label": {"0": "cat", "1": "dog"}}
        kept = {key: value for key, value in (whole | config).items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept), "utf-8")
        (folder / "preprocessor_config.json").write_text("{}", "utf-8")
        return folder

    return build
