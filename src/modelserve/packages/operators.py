"""What a graph's operators tell that its tensors do not: that it throws dice, or looks at a whole batch."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from modelserve._kit.protobuf import NotProtobuf, fields

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
"""Equal questions get different answers."""
_ONE_SCALE = {"DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"}
_ONE_LIST = {"Compress", "NonMaxSuppression", "StringNormalizer", "Unique"}
_ONE_LENGTH = {"BeamSearch", "GreedySearch", "Sampling", "StringSplit", "Tokenizer", "WhisperBeamSearch"}
MIXING = frozenset(_ONE_SCALE | _ONE_LIST | _ONE_LENGTH)
"""A row's answer depends on the others of its batch: they share one scale, stand in one list, or are as
long as the longest. How much shows only with some inputs."""

_NESTING = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _FUNCTION_NODE = 1, 7
_NODE_OPERATOR, _NODE_ATTRIBUTE = 4, 5
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11
"""Numbers of fields in onnx.proto."""


def operators_of(model_file: Path) -> frozenset[str]:
    """The operators of the ONNX graph in this file, with those of its subgraphs and functions; none in other
    files, and none where the file is no graph after all. Raises OSError.
    """
    if model_file.suffix != ".onnx" or not model_file.stat().st_size:
        return frozenset()
    with model_file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        view = memoryview(content)
        try:
            return frozenset(_of_model(view))
        except (NotProtobuf, UnicodeDecodeError, RecursionError):
            return frozenset()
        finally:
            view.release()


def _of_model(model: memoryview) -> Iterator[str]:
    for number, part in fields(model, frozenset({_MODEL_GRAPH, _MODEL_FUNCTION})):
        yield from _of_nodes(part, _GRAPH_NODE if number == _MODEL_GRAPH else _FUNCTION_NODE)


def _of_nodes(graph: memoryview, number: int) -> Iterator[str]:
    for _, node in fields(graph, frozenset({number})):
        yield from _of_node(node)


def _of_node(node: memoryview) -> Iterator[str]:
    attributes = []
    name = ""
    for number, part in fields(node, frozenset({_NODE_OPERATOR, _NODE_ATTRIBUTE})):
        if number == _NODE_OPERATOR:
            name = str(part, "utf-8")
        else:
            attributes.append(part)
    yield name
    for attribute in attributes if name in _NESTING else ():
        for _, graph in fields(attribute, frozenset({_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS})):
            yield from _of_nodes(graph, _GRAPH_NODE)
