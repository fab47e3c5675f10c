"""What the schema of a skops file may say beside the names of types.

skops asks whether a name is trusted, and not what is done with it: a class that is harmless may be called
with arguments from the file, and whatever is called a type of keys is called with each key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelserve._kit.sklearn_splines import SPLINE

PARTIAL = "sklearn.utils.validation.check_array"
"""The one function that may come with arguments of its own; what they may be is looked at with the trees."""
_ONLY = {
    "functools.partial": "PartialNode",
    "numpy.dtype": "DTypeNode",
    "sklearn.tree._tree.Tree": "TreeNode",
    "sklearn.utils._bunch.Bunch": "DictNode",
    SPLINE: "ObjectNode",
}
"""By name: the only way in which it may be built."""
_LOSSES = ("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")
"""Where the classes are that skops calls with arguments from the file."""
_KEYS = {
    "builtins": {"str", "int", "float", "bool", "bytes"},
    "numpy": {
        *("bool", "bool_", "str_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    },
}
"""Types of keys: each is called with the keys of a dictionary."""

Node = dict[str, Any]


class UnfitSchema(ValueError):
    """The file asks for more than the types that it names; the message says what."""


def check_schema(schema: Node) -> None:
    """Raises UnfitSchema. A node stands for any other of the same number (``__id__``), so where one may be of
    some kind only, all of its number must be."""
    nodes = list(_nodes(schema))
    for node in nodes:
        _check_loader(node)
    bound = [node["content"]["func"] for node in nodes if node.get("__loader__") == "PartialNode"]
    if (wrong := _other(bound, nodes, _is_checking)) is not None:
        raise UnfitSchema(
            f"binds arguments to {_name(wrong)}, which is not known to be safe, and so is not built; "
            f"of functions with arguments, only {PARTIAL} is"
        )
    lists = [node["key_types"] for node in nodes if "key_types" in node]
    if (wrong := _other(lists, nodes, _is_list)) is not None:
        raise UnfitSchema(f"has {_name(wrong)} in the place of a list of the types of keys")
    kinds = [kind for listed in (*lists, *_alike(lists, nodes)) for kind in listed["content"]]
    if (wrong := _other(kinds, nodes, _is_key)) is not None:
        raise UnfitSchema(f"has keys of the type {_name(wrong)}; texts and numbers are wanted")


def _check_loader(node: Node) -> None:
    name, loader = _name(node), node.get("__loader__")
    if loader == "ConstructorFromReduceNode" or (loader == "LossNode" and not name.startswith(_LOSSES)):
        raise UnfitSchema(f"calls {name}, and so is not built; only losses of scikit-learn are called")
    if _ONLY.get(name, loader) != loader:
        raise UnfitSchema(f"builds {name} as {loader}; {_ONLY[name]} is wanted")


def _other(some: list[Node], nodes: list[Node], fits: Any) -> Node | None:
    return next((node for node in (*some, *_alike(some, nodes)) if not fits(node)), None)


def _alike(some: list[Node], nodes: list[Node]) -> list[Node]:
    """The nodes that may stand for one of these."""
    numbers = {node["__id__"] for node in some if "__id__" in node}
    return [node for node in nodes if "__id__" in node and node["__id__"] in numbers]


def _is_checking(node: Node) -> bool:
    """Whether it is that function; older files say what a function is in its content."""
    return (_name(node), node.get("__loader__"), "content" in node) == (PARTIAL, "FunctionNode", False)


def _is_list(node: Node) -> bool:
    return node.get("__loader__") == "ListNode" and isinstance(node.get("content"), list)


def _is_key(node: Node) -> bool:
    return node.get("__loader__") == "TypeNode" and node.get("__class__") in _KEYS.get(
        str(node.get("__module__")), ()
    )


def _name(node: Node) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _nodes(schema: Any) -> Iterator[Node]:
    left = [schema]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            left += value.values()
        elif isinstance(value, list):
            left += value
