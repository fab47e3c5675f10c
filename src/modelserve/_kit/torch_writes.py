"""What a program of PyTorch writes to: whether it keeps something, and whether it changes its inputs.

A program that keeps something from one line to the next, in an attribute or a buffer, answers with what
another thread has put there in between. What can't be looked into is taken to do both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from modelserve._kit.torch_aliases import may_answer_with_input, sharing, told

_BATCH_STATISTICS = 5
"""Place of the argument of ``batch_norm`` and ``instance_norm`` that has them move their running mean."""
_RUNNING_MEAN = 3
_NORMS = frozenset({"aten::batch_norm", "aten::instance_norm"})


@dataclass(frozen=True, slots=True)
class Writes:
    """``kept``: to what outlasts a run; ``inputs``: to what it is given."""

    kept: bool = False
    inputs: bool = False


ANYWHERE = Writes(kept=True, inputs=True)


# TorchScript.


def writes_of_script(module: Any) -> Writes:
    """Of ``forward``, with all that it calls. A copy is looked at whose switches (``training``) are set: what
    they rule out does not count."""
    try:
        whole = module.forward.graph
        torch._C._jit_pass_inline(whole)  # as a run does
        with told(whole):
            graph = torch.jit.freeze(module, optimize_numerics=False).graph
    except Exception:  # what the file holds decides what fails
        return ANYWHERE
    if any(graph.findNode(kind) for kind in ("prim::CallMethod", "prim::CallFunction", "prim::fork")):
        return ANYWHERE
    aliases = graph.alias_db()
    inputs = any(aliases.has_writers(value) for value in list(graph.inputs())[1:])
    return Writes(_sets_attributes(graph) or _writes_to_kept(graph, aliases, inputs), inputs)


def _sets_attributes(graph: Any) -> bool:
    """An object that the run itself has made is nobody else's."""
    setters = graph.findAllNodes("prim::SetAttr")
    return any(node.inputsAt(0).node().kind() != "prim::CreateObject" for node in setters)


def _writes_to_kept(graph: Any, aliases: Any, inputs: bool) -> bool:
    """What lies in a list that is kept can't be told from an input."""
    for kind in ("prim::GetAttr", "prim::Constant"):
        for node in graph.findAllNodes(kind):
            kept = node.output()
            if aliases.has_writers(kept) or (inputs and _holds_tensors(kept.type())):
                return True
    return False


def _holds_tensors(kind: Any) -> bool:
    return kind.kind() == "ClassType" or (kind.kind() != "TensorType" and "Tensor" in kind.annotation_str)


# Exported programs.


def writes_of_program(program: Any) -> Writes:
    """Of an exported program's graph."""
    if any(_changes(module.graph) for module in _inner(program.graph_module)):
        return ANYWHERE
    signature, given = program.graph_signature, set(program.graph_signature.user_inputs)
    written = {name for node in _changes(program.graph) for name in _origins(node)}
    kept = bool(signature.buffers_to_mutate or getattr(signature, "parameters_to_mutate", None))
    return Writes(kept or bool(written - given), bool(signature.user_inputs_to_mutate or written & given))


def _inner(module: Any) -> Iterator[Any]:
    """The graphs that a graph calls: branches and loops."""
    yield from (each for each in module.modules() if each is not module and hasattr(each, "graph"))


def _changes(graph: Any) -> list[Any]:
    """The nodes whose values are written to."""
    return [value for node in graph.nodes for value in _written(node)]


def _written(node: Any) -> Iterator[Any]:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return
    if schema.name in _NORMS:
        mean = _argument(node, schema, _RUNNING_MEAN)
        if mean is not None and _argument(node, schema, _BATCH_STATISTICS) is not False:
            yield mean
    for place, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from _nodes(_argument(node, schema, place))


def _argument(node: Any, schema: Any, place: int) -> Any:
    return node.args[place] if place < len(node.args) else node.kwargs.get(schema.arguments[place].name)


def _nodes(value: Any) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        return [each for each in value if isinstance(each, torch.fx.Node)]
    return [value] if isinstance(value, torch.fx.Node) else []


def _origins(node: Any) -> set[str]:
    """The names of the program's inputs, weights and buffers whose memory a value may lie in."""
    found: set[str] = set()
    seen, left = {node}, [node]
    while left:
        node = left.pop()
        if node.op != "call_function":
            found.add(node.name)
        else:
            left += [each for each in _sources(node) if each not in seen]
            seen.update(left)
    return found


def _sources(node: Any) -> list[Any]:
    """The nodes whose memory a node's value may lie in."""
    schema, nodes = getattr(node.target, "_schema", None), node.all_input_nodes
    if schema is None:
        return list(nodes)
    return list(nodes[: sharing(schema.name)]) if may_answer_with_input(schema) else []
