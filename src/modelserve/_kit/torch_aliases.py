"""Operators of PyTorch that may answer with their input itself, or with a view of it, where their schemas do
not say so.

Whoever writes to such an answer writes to the input. An operator that others are composed of tells what its
answer shares; one that is composed of others does not, and ``x.type_as(x)`` is ``x``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

_FRESH = re.compile(
    r"aten::(?:linear|bilinear|matmul|inner|outer|cross|conv\d?d?|conv_transpose\dd|_convolution\w*|one_hot"
    r"|(?:batch|instance|layer|group|rms)_norm|(?:log_)?softmax|scaled_dot_product_attention|prelu|relu6|selu"
    r"|(?:lstm|gru|rnn_tanh|rnn_relu)(?:_cell)?|(?:adaptive_)?(?:avg|max)_pool\dd\w*|embedding_bag|grid_sampler"
    r"|upsample_\w+|pad|concat|concatenate|[hvd]stack|row_stack|column_stack|tile|where|max|min|clip|square"
    r"|absolute|negative|fix|kron|rrelu|diagflat|multiply|subtract|(?:true_)?divide|float_power|take_along_dim|argsort|isfinite|isclose"
    r"|greater|greater_equal|less|less_equal|not_equal|__and__|__or__|__xor__|std|var|arc\w+|special_\w+"
    r"|cosine_similarity|pairwise_distance|cdist)"
)
"""Composed, and known to answer in memory of their own."""
_PASSES_THROUGH = re.compile(
    r"aten::(?:\w*dropout|_unsafe_view|unsafe_split\w*|block_diag|_conj_physical|_to_dense|dequantize|lift"
    r"|_coalesce|_pin_memory|_lazy_clone|to_padded_tensor|to_mkldnn|_resize_output|set)"
)
"""Not composed, and yet."""
_LIKE_ANOTHER = "aten::type_as"
"""Takes no more than the datatype from its second tensor."""
_COMPOSED = "CompositeImplicitAutograd"


def may_answer_with_input(schema: Any) -> bool:
    """Whether an answer may lie in an input's memory, as its schema says or fails to say."""
    if any(answer.alias_info is not None for answer in schema.returns):
        return True
    return _may_pass_through(schema.name, schema.overload_name)


def sharing(name: str) -> int | None:
    """How many of an operator's tensors its answer may lie in; None where that is any of them."""
    return 1 if name == _LIKE_ANOTHER else None


@cache
def _may_pass_through(name: str, overload: str) -> bool:
    if not name.startswith("aten::") or _PASSES_THROUGH.fullmatch(name):
        return True
    if _FRESH.fullmatch(name):
        return False
    whole = f"{name}.{overload}" if overload else name
    try:
        return bool(torch._C._dispatch_has_kernel_for_dispatch_key(whole, _COMPOSED))
    except RuntimeError:  # an operator of TorchScript alone, over numbers, texts and lists
        return False


# What is not told, told to TorchScript.

_TENSOR, _TENSORS = torch._C.TensorType.get(), torch._C.ListType.ofTensors()


@contextmanager
def told(graph: Any) -> Iterator[None]:
    """Meanwhile each of these answers is a choice between the answer and the inputs, which TorchScript's own
    analysis understands; nothing may run the graph. Raises LookupError where there is no input to choose by.
    """
    choices = _Choices(graph)
    try:
        for node in [each for each in _nodes(graph) if _is_silent(each)]:
            choices.put_behind(node)
        yield
    finally:
        choices.take_back()


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _is_silent(node: Any) -> bool:
    schema = _parsed(node.schema())
    if schema is None or any(answer.alias_info is not None for answer in schema.returns):
        return False
    return _may_pass_through(schema.name, schema.overload_name)


@cache
def _parsed(schema: str) -> Any:
    return None if schema == "(no schema)" else torch._C.parse_schema(schema)


class _Choices:
    """What was put into a graph, until it is taken back."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._made: list[Any] = []
        self._chosen: list[tuple[Any, Any]] = []

    def put_behind(self, node: Any) -> None:
        """Whoever used an answer of the node uses what is chosen."""
        if not any(_is_tensor(each) or _is_list(each) for each in node.inputs()):
            return
        chance, self._at = self._chance(), node
        given = self._given(node, chance)
        for answer in node.outputs() if given else ():
            if not (_is_tensor(answer) or _is_list(answer)):
                continue
            users = answer.uses()
            chosen = self._choice(answer, given, chance)
            self._chosen.append((answer, chosen))
            for use in users:
                use.user.replaceInput(use.offset, chosen)

    def take_back(self) -> None:
        for answer, chosen in reversed(self._chosen):
            chosen.replaceAllUsesWith(answer)
        for node in reversed(self._made):
            node.destroy()

    def _given(self, node: Any, chance: Any) -> list[Any]:
        """The tensors that a node is given, by themselves or in lists."""
        given: list[Any] = []
        for value in list(node.inputs())[: sharing(node.kind())]:
            if _is_tensor(value):
                given.append(value)
            elif _is_list(value) and value.node().kind() == "prim::ListConstruct":
                given += value.node().inputs()
            elif _is_list(value):
                some = self._add("aten::Int", [chance], torch._C.IntType.get())
                given.append(self._add("aten::__getitem__", [value, some], _TENSOR))
        return given

    def _choice(self, answer: Any, given: list[Any], chance: Any) -> Any:
        kind = _TENSOR
        if _is_list(answer):
            kind, given = _TENSORS, [self._add("prim::ListConstruct", given, _TENSORS)]
        for each in given:
            last, answer = answer, self._add("prim::If", [chance], kind)
            for value in (last, each):
                answer.node().addBlock().registerOutput(value)
        return answer

    def _chance(self) -> Any:
        """It depends on an input, so that no choice can be worked out beforehand."""
        if not self._made:
            tensors = [value for value in self._graph.inputs() if value.type().isSubtypeOf(_TENSOR)]
            if not tensors:
                raise LookupError("no input is a tensor")
            self._at = self._graph.param_node()
            self._add("aten::Bool", tensors[:1], torch._C.BoolType.get())
        return self._made[0].output()

    def _add(self, kind: str, inputs: list[Any], gives: Any) -> Any:
        """Its value; the node comes behind the last that was added."""
        node = self._graph.create(kind, inputs, 1)
        node.output().setType(gives)
        node.insertAfter(self._at)
        self._made.append(node)
        self._at = node
        return node.output()


def _is_tensor(value: Any) -> bool:
    kind = value.type()
    return kind.kind() != "NoneType" and bool(kind.isSubtypeOf(torch._C.OptionalType(_TENSOR)))


def _is_list(value: Any) -> bool:
    kind = value.type()
    return kind.kind() == "ListType" and bool(kind.isSubtypeOf(_TENSORS) or "Tensor" in kind.annotation_str)
