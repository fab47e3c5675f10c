"""What the names of a model's operators tell: that it throws dice, or looks at a whole batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelserve._kit.torch_archives import operators_in
from modelserve.packages.operators.reading import Node, read_model

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
"""Equal questions get different answers."""
_ONE_SCALE = {"DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"}
_ONE_LIST = {"Compress", "NonMaxSuppression", "StringNormalizer", "Unique"}
_ONE_LENGTH = {"BeamSearch", "GreedySearch", "Sampling", "StringSplit", "Tokenizer", "WhisperBeamSearch"}
_CELLS = ("quantized_lstm_cell", "quantized_gru_cell", "quantized_rnn_tanh_cell", "quantized_rnn_relu_cell")
_DIMENSIONS = ("1d", "2d", "3d")
_ONE_SCALE_OF_TORCH = {
    *("linear_dynamic", "linear_relu_dynamic", "qlinear_dynamic", "qlinear_relu_dynamic"),
    *(f"conv{each}_dynamic" for each in _DIMENSIONS),
    *(f"conv_transpose{each}_dynamic" for each in _DIMENSIONS),
    *("quantized_lstm", "quantized_gru", *_CELLS, *(f"{cell}_dynamic" for cell in _CELLS)),
    *("fbgemm_linear_int8_weight", "fbgemm_linear_int8_weight_fp32_activation"),
    *("quantize_per_tensor_dynamic", "choose_qparams", "choose_qparams_symmetric"),
    *("_choose_qparams_per_tensor", "choose_qparams_optimized"),
    *("fused_moving_avg_obs_fake_quant", "_fused_moving_avg_obs_fq_helper"),
    "_fused_moving_avg_obs_fq_helper_functional",
}
"""PyTorch's, which have names of another kind; a scale for each token, as some choose, is none for all."""
MIXING = frozenset(_ONE_SCALE | _ONE_LIST | _ONE_LENGTH | _ONE_SCALE_OF_TORCH)
"""A row's answer depends on the others of its batch: they share one scale, stand in one list, or are as
long as the longest. How much shows only with some inputs."""
_TORCH = frozenset({".pt2", ".pt", ".pth", ".ts", ".torchscript"})


def operators_of(model_file: Path) -> frozenset[str]:
    """The operators of the ONNX graph or of the program of PyTorch in this file, with those of its subgraphs
    and functions; none in other files, and none where the file is neither after all. Raises OSError.
    """
    if model_file.suffix in _TORCH:
        return operators_in(model_file)
    return frozenset(node.operator for node in _nodes_of(model_file))


def odd_numbers(model_file: Path) -> frozenset[float]:
    """NaN and infinity, where the ONNX graph in this file tells them from other numbers: it may then put
    something of its own in their place. Raises OSError."""
    return frozenset(filter(None, map(_odd_number, _nodes_of(model_file))))


def _odd_number(node: Node) -> float | None:
    if node.operator == "IsInf":
        return math.inf
    by_itself = node.operator == "Equal" and len(set(node.inputs)) == 1  # which NaN alone is not
    return math.nan if by_itself or node.operator == "IsNaN" else None


def _nodes_of(model_file: Path) -> Iterator[Node]:
    model = read_model(model_file)
    for graph in (model.graph, *model.functions.values()):
        yield from _every(graph.nodes)


def _every(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes, and those of the graphs that they run."""
    for node in nodes:
        yield node
        for body in node.bodies:
            yield from _every(body.nodes)
