"""The benchmark's models: real architectures with random weights of a fixed seed.

What a model answers does not matter here, only what it costs. They lie in ``build/bench/models``, one package
a folder, and are written once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.graphs import Graph, real, whole

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "bench"
LABELS = 9
"""Classes of each token, as in CoNLL's named entities."""
CLASSES = 1000
"""Classes of an image, as in ImageNet."""
SIDE = 224
VOCABULARY, POSITIONS = 30522, 512


def package(name: str) -> Path:
    """The folder of one model; written first if it is not there."""
    folder = CACHE / "models" / name
    if not (folder / "model.onnx").exists():
        folder.mkdir(parents=True, exist_ok=True)
        MODELS[name](folder)
    return folder


def _tiny(folder: Path) -> None:
    """Microseconds of work: what is measured is the server."""
    graph = Graph()
    weights, bias = graph.random(8, 4, scale=0.3), graph.random(4, scale=0.3)
    made = graph.node("Gemm", "x", weights, bias)
    graph.save(folder / "model.onnx", [real("x", "batch", 8)], made, ["batch", 4])


@dataclass(frozen=True)
class Bert:
    layers: int
    width: int
    heads: int
    inner: int

    def __call__(self, folder: Path) -> None:
        """BERT for token classification: logits [batch, tokens, labels]."""
        graph = Graph()
        x = self._embedded(graph)
        mask = _mask(graph)
        for _ in range(self.layers):
            x = self._layer(graph, x, mask)
        logits = graph.linear(x, self.width, LABELS)
        inputs = [whole(name, "batch", "tokens") for name in TEXT_INPUTS]
        graph.save(folder / "model.onnx", inputs, logits, ["batch", "tokens", LABELS])

    def _embedded(self, graph: Graph) -> str:
        words, kinds, places = (
            graph.random(rows, self.width, scale=0.02) for rows in (VOCABULARY, 2, POSITIONS)
        )
        length = graph.node("Gather", graph.node("Shape", "input_ids"), graph.constant(np.int64(1)), axis=0)
        axes = graph.constant(np.array([0], np.int64))
        positions = graph.constant(np.arange(POSITIONS, dtype=np.int64)[None])
        taken = graph.node(
            "Slice",
            positions,
            graph.constant(np.array([0], np.int64)),
            graph.node("Unsqueeze", length, axes),
            graph.constant(np.array([1], np.int64)),
            graph.constant(np.array([1], np.int64)),
        )
        total = graph.node(
            "Add", graph.node("Gather", words, "input_ids"), graph.node("Gather", kinds, "token_type_ids")
        )
        total = graph.node("Add", total, graph.node("Gather", places, taken))
        return graph.normalised(graph.shaped(total, "batch", "tokens", self.width), self.width)

    def _layer(self, graph: Graph, x: str, mask: str) -> str:
        attended = graph.linear(self._attention(graph, x, mask), self.width, self.width)
        x = graph.normalised(graph.node("Add", attended, x), self.width)
        inner = graph.gelu(graph.linear(x, self.width, self.inner))
        return graph.normalised(graph.node("Add", graph.linear(inner, self.inner, self.width), x), self.width)

    def _attention(self, graph: Graph, x: str, mask: str) -> str:
        query = self._heads(graph, x, [0, 2, 1, 3])
        key = self._heads(graph, x, [0, 2, 3, 1])
        value = self._heads(graph, x, [0, 2, 1, 3])
        root = graph.constant(np.float32((self.width / self.heads) ** 0.5))
        scores = graph.node("Div", graph.node("MatMul", query, key), root)
        shares = graph.node("Softmax", graph.node("Add", scores, mask), axis=-1)
        mixed = graph.node("Transpose", graph.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return graph.node("Reshape", mixed, graph.constant(np.array([0, 0, self.width], np.int64)))

    def _heads(self, graph: Graph, x: str, order: list[int]) -> str:
        shape = graph.constant(np.array([0, 0, self.heads, self.width // self.heads], np.int64))
        return graph.node(
            "Transpose", graph.node("Reshape", graph.linear(x, self.width, self.width), shape), perm=order
        )


def _mask(graph: Graph) -> str:
    """0 where a token is, -10000 where padding is: [batch, 1, 1, tokens]."""
    wide = graph.node("Unsqueeze", "attention_mask", graph.constant(np.array([1], np.int64)))
    wide = graph.node("Unsqueeze", wide, graph.constant(np.array([2], np.int64)))
    away = graph.node("Sub", graph.constant(np.float32(1)), graph.node("Cast", wide, to=1))
    return graph.node("Mul", away, graph.constant(np.float32(-10000)))


@dataclass(frozen=True)
class ResNet:
    depths: tuple[int, int, int, int]
    bottleneck: bool

    def __call__(self, folder: Path) -> None:
        """ResNet v1.5 for image classification: logits [batch, classes]."""
        graph = Graph()
        x = graph.node("Relu", graph.convolution("pixel_values", 3, 64, 7, stride=2))
        x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        width = 64
        for stage, depth in enumerate(self.depths):
            for block in range(depth):
                stride = 2 if stage and not block else 1
                x, width = self._block(graph, x, width, 64 * 2**stage, stride)
        pooled = graph.node("Flatten", graph.node("GlobalAveragePool", x))
        weights = graph.random(width, CLASSES, scale=width**-0.5)
        logits = graph.node("Gemm", pooled, weights, graph.random(CLASSES, scale=0.01))
        shape = ["batch", 3, SIDE, SIDE]
        graph.save(folder / "model.onnx", [real("pixel_values", *shape)], logits, ["batch", CLASSES])
        _describe_images(folder)

    def _block(self, graph: Graph, x: str, given: int, inner: int, stride: int) -> tuple[str, int]:
        made = inner * 4 if self.bottleneck else inner
        y, width = x, given
        for side, step in [(1, 1), (3, stride)] if self.bottleneck else [(3, stride)]:
            y, width = graph.node("Relu", graph.convolution(y, width, inner, side, step)), inner
        y = graph.convolution(y, width, made, 1 if self.bottleneck else 3)
        if stride > 1 or given != made:
            x = graph.convolution(x, given, made, 1, stride)
        return graph.node("Relu", graph.node("Add", y, x)), made


def _describe_images(folder: Path) -> None:
    """What a Hugging Face folder says beside its model, so that images can be asked about as well."""
    labels = {str(index): f"class {index}" for index in range(CLASSES)}
    config = {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], "id2label": labels}
    size = {"height": SIDE, "width": SIDE}
    preprocessing = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True, "size": size, "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))


TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MODELS: dict[str, Callable[[Path], None]] = {
    "tiny": _tiny,
    "small-bert": Bert(layers=4, width=312, heads=12, inner=1200),
    "bert-base": Bert(layers=12, width=768, heads=12, inner=3072),
    "resnet-18": ResNet((2, 2, 2, 2), bottleneck=False),
    "resnet-50": ResNet((3, 4, 6, 3), bottleneck=True),
}
