"""The nodes of an ONNX file with the names of their tensors, without its weights.

Numbers of fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelserve._kit.protobuf import NotProtobuf, fields

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_WEIGHT, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_FUNCTION_NAME, _FUNCTION_INPUT, _FUNCTION_OUTPUT, _FUNCTION_NODE = 1, 4, 5, 7
_FUNCTION_DOMAIN, _FUNCTION_OVERLOAD = 10, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN, _NODE_OVERLOAD = 1, 2, 4, 5, 7, 8
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11
_VALUE_NAME, _WEIGHT_NAME = 1, 8

_NESTING = frozenset({"If", "Loop", "Scan", "SequenceMap"})


Function = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph or a function: names of what goes in and out, and its nodes in the order in which they run.

    What has a value of its own in the file is not among the ``inputs``.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """``function`` is domain, name and overload of a function that it may call; an absent input or output has
    an empty name. ``bodies`` are the graphs that it runs."""

    operator: str
    function: Function
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    bodies: tuple[Graph, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """``functions`` by domain, name and overload."""

    graph: Graph
    functions: dict[Function, Graph]


NOTHING = Model(Graph((), (), ()), {})


def read_model(model_file: Path) -> Model:
    """The model in this file, NOTHING if that is not called ``.onnx`` or holds no graph. Raises OSError."""
    if model_file.suffix != ".onnx" or not model_file.stat().st_size:
        return NOTHING
    with model_file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        view = memoryview(content)
        try:
            return _model(view)
        except (NotProtobuf, UnicodeDecodeError, RecursionError):
            return NOTHING
        finally:
            view.release()


def _model(message: memoryview) -> Model:
    graph, functions = NOTHING.graph, {}
    for number, part in fields(message, frozenset({_MODEL_GRAPH, _MODEL_FUNCTION})):
        if number == _MODEL_GRAPH:
            graph = _graph(part)
        else:
            name, function = _function(part)
            functions[name] = function
    return Model(graph, functions)


def _graph(message: memoryview) -> Graph:
    parts = _parts(message, _GRAPH_NODE, _GRAPH_WEIGHT, _GRAPH_INPUT, _GRAPH_OUTPUT)
    weights = {_name(weight, _WEIGHT_NAME) for weight in parts[_GRAPH_WEIGHT]}
    inputs = (_name(value, _VALUE_NAME) for value in parts[_GRAPH_INPUT])
    return Graph(
        tuple(name for name in inputs if name not in weights),
        tuple(_name(value, _VALUE_NAME) for value in parts[_GRAPH_OUTPUT]),
        tuple(map(_node, parts[_GRAPH_NODE])),
    )


def _function(message: memoryview) -> tuple[Function, Graph]:
    parts = _parts(
        message, _FUNCTION_NAME, _FUNCTION_INPUT, _FUNCTION_OUTPUT, _FUNCTION_NODE, _FUNCTION_DOMAIN,
        _FUNCTION_OVERLOAD,
    )  # fmt: skip
    body = Graph(
        _texts(parts[_FUNCTION_INPUT]),
        _texts(parts[_FUNCTION_OUTPUT]),
        tuple(map(_node, parts[_FUNCTION_NODE])),
    )
    name = (_FUNCTION_DOMAIN, _FUNCTION_NAME, _FUNCTION_OVERLOAD)
    return _function_of(parts, *name), body


def _node(message: memoryview) -> Node:
    parts = _parts(
        message, _NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN, _NODE_OVERLOAD
    )
    operator = _last(parts[_NODE_OPERATOR])
    bodies = tuple(_bodies(parts[_NODE_ATTRIBUTE])) if operator in _NESTING else ()
    inputs, outputs = _texts(parts[_NODE_INPUT]), _texts(parts[_NODE_OUTPUT])
    function = _function_of(parts, _NODE_DOMAIN, _NODE_OPERATOR, _NODE_OVERLOAD)
    return Node(operator, function, inputs, outputs, bodies)


def _function_of(parts: dict[int, list[memoryview]], domain: int, name: int, overload: int) -> Function:
    return _last(parts[domain]), _last(parts[name]), _last(parts[overload])


def _bodies(attributes: list[memoryview]) -> Iterator[Graph]:
    for attribute in attributes:
        for _, graph in fields(attribute, frozenset({_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS})):
            yield _graph(graph)


def _parts(message: memoryview, *numbers: int) -> dict[int, list[memoryview]]:
    parts: dict[int, list[memoryview]] = {number: [] for number in numbers}
    for number, part in fields(message, frozenset(numbers)):
        parts[number].append(part)
    return parts


def _name(message: memoryview, number: int) -> str:
    return _last([part for _, part in fields(message, frozenset({number}))])


def _texts(parts: list[memoryview]) -> tuple[str, ...]:
    return tuple(str(part, "utf-8") for part in parts)


def _last(parts: list[memoryview]) -> str:
    """Of a field that is there once: the last counts, as Protocol Buffers have it."""
    return str(parts[-1], "utf-8") if parts else ""
