"""Decision trees of scikit-learn, checked before anything asks them.

Their nodes name other nodes and features by number, and the compiled code that follows these numbers does not
look whether they are there: a crafted or damaged file could end the process or read memory of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DEPTH = 30


class UnfitTrees(ValueError):
    """A tree points to what is not there; the message says to what."""


def check_trees(estimator: Any) -> None:
    """Raise UnfitTrees unless every tree inside of ``estimator`` keeps to its own nodes and features."""
    for tree, features in _trees(estimator, None, 0, set()):
        if hasattr(tree, "children_left"):
            _check(tree.children_left, tree.children_right, tree.feature, features)
        else:
            _check_predictor(tree, features)


_Seen = set[tuple[int, int | None]]


def _trees(value: Any, features: int | None, depth: int, seen: _Seen) -> Iterator[tuple[Any, int]]:
    """The trees below a value with the number of columns that they are given; each pair once."""
    if (id(value), features) in seen:
        return
    seen.add((id(value), features))
    if depth > MAX_DEPTH:
        raise UnfitTrees(f"holds estimators nested deeper than {MAX_DEPTH} levels")
    name = f"{type(value).__module__}.{type(value).__name__}"
    if name in (
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    ):
        if features is None:
            raise UnfitTrees("holds a tree that does not say how many features it takes")
        yield value, features
        return
    features = _width(value, features)
    for inner in _inside(value):
        yield from _trees(inner, features, depth + 1, seen)


def _width(value: Any, above: int | None) -> int | None:
    """The columns that the parts of ``value`` get: its trees get what it gets, unless it says less.

    A part of a pipeline takes what the part before gives, which may be more: it starts anew.
    """
    own = getattr(value, "__dict__", {}).get("n_features_in_")
    if not isinstance(own, int):
        return None if hasattr(value, "steps") or hasattr(value, "transformers") else above
    passes_through = hasattr(value, "tree_")
    return min(own, above) if passes_through and above is not None else own


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, np.ndarray):
        yield from value.ravel() if value.dtype == object else ()
    elif type(value).__module__.partition(".")[0] == "sklearn":
        yield from getattr(value, "__dict__", {}).values()


def _check_predictor(tree: Any, features: int) -> None:
    nodes, inner = tree.nodes, tree.nodes["is_leaf"] == 0
    left = np.where(inner, nodes["left"].astype(np.int64), -1)
    right = np.where(inner, nodes["right"].astype(np.int64), -1)
    _check(left, right, nodes["feature_idx"].astype(np.int64), features)
    sets = nodes["bitset_idx"][inner & (nodes["is_categorical"] == 1)]
    if (sets >= len(tree.raw_left_cat_bitsets)).any():
        raise UnfitTrees("holds a tree that asks for a set of categories that is not there")


def _check(left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], features: int) -> None:
    """A node's children come after it, so that every path ends."""
    inner, places = left != -1, np.arange(len(left))
    if not len(left) or (inner != (right != -1)).any():
        raise UnfitTrees("holds a tree without nodes, or with a node that has one branch")
    for side in (left[inner], right[inner]):
        if ((side <= places[inner]) | (side >= len(left))).any():
            raise UnfitTrees("holds a tree with a branch to a node that is not there")
    if ((feature[inner] < 0) | (feature[inner] >= features)).any():
        raise UnfitTrees(f"holds a tree that asks for a feature beyond its {features}")
