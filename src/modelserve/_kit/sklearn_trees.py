"""Decision trees of scikit-learn, checked before anything asks them.

Their nodes name other nodes and features by number, and the compiled code that follows these numbers does not
look whether they are there: a crafted or damaged file could end the process or read memory of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
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


_STACKED = frozenset({"predict", "predict_proba", "decision_function"})
"""What a stack may ask its members for."""
_WORDS = 8
"""Of a set of categories: a bit for each of 256."""
_HISTOGRAMS = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting."
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
    _check_methods(value)
    features = _width(value, features)
    if name.startswith(_HISTOGRAMS) and features is not None:
        _check_boosting(value, features)
    for inner in _inside(value):
        yield from _trees(inner, features, depth + 1, seen)


def _check_methods(part: Any) -> None:
    """No attribute stands in the place of a method of scikit-learn, such as one that checks the columns."""
    if type(part).__module__.partition(".")[0] != "sklearn":
        return
    held = getattr(part, "__dict__", {})
    if hidden := [key for key in held if callable(getattr(type(part), key, None))]:
        raise UnfitTrees(f"holds a {type(part).__name__} whose {hidden[0]} is none of scikit-learn's")
    methods = set(held["stack_method_"]) if isinstance(held.get("stack_method_"), list) else set()
    if not methods <= _STACKED:
        raise UnfitTrees(f"holds a {type(part).__name__} that asks its members for {min(methods - _STACKED)}")


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


def _check_boosting(boosting: Any, features: int) -> None:
    """What is looked up for each feature that a node asks for its category, and whether the trees get as many
    columns as they name: what is put before them to encode categories could leave some out."""
    held = vars(boosting)
    before = held.get("_preprocessor")
    if before is not None and not _encodes(before, features):
        raise UnfitTrees(f"prepares its {features} features otherwise than scikit-learn does")
    trees = [tree for each in held.get("_predictors", ()) for tree in each]
    asked = {int(index) for tree in trees for index in _categorical(tree)["feature_idx"]}
    known = np.asarray(getattr(held.get("_bin_mapper"), "is_categorical_", ()))
    if asked and (known.shape != (features,) or not asked <= set(np.flatnonzero(known).tolist())):
        raise UnfitTrees("holds a tree that asks for the category of a feature that has none")


def _encodes(before: Any, features: int) -> bool:
    """Whether it encodes some columns, checks the others and gives as many as it gets."""
    steps = vars(before).get("transformers_")
    if _kind(before) != "ColumnTransformer" or not isinstance(steps, list) or len(steps) < 2:
        return False
    (_, encoder, encoded), (_, rest, others), *more = steps
    if any(each[1] != "drop" for each in more):
        return False
    masks = [mask for mask in (encoded, others) if isinstance(mask, np.ndarray) and mask.dtype == np.bool_]
    kinds = (_kind(encoder), _kind(rest)) == ("OrdinalEncoder", "FunctionTransformer")
    checks = _checks(rest)
    whole = [mask.shape for mask in masks] == [(features,)] * 2 and bool((masks[0] ^ masks[1]).all())
    return kinds and checks and whole


def _checks(rest: Any) -> bool:
    """Whether it hands the other columns on: told which array to check, it would answer with that one."""
    held = vars(rest)
    function = held.get("func")
    if not isinstance(function, partial) or function.args or held.get("kw_args"):
        return False  # what it calls was looked at in the file
    return function.keywords.keys() <= {"dtype", "ensure_all_finite", "force_all_finite"}


def _kind(part: Any) -> str:
    """The name of a class of scikit-learn's own; empty for others."""
    return type(part).__name__ if type(part).__module__.startswith("sklearn.") else ""


def _categorical(tree: Any) -> Any:
    """Its nodes that ask for a category."""
    nodes = tree.nodes
    return nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] != 0)]


def _check_predictor(tree: Any, features: int) -> None:
    nodes, inner = tree.nodes, tree.nodes["is_leaf"] == 0
    left = np.where(inner, nodes["left"].astype(np.int64), -1)
    right = np.where(inner, nodes["right"].astype(np.int64), -1)
    _check(left, right, nodes["feature_idx"].astype(np.int64), features)
    sets = _categorical(tree)["bitset_idx"]
    if tree.raw_left_cat_bitsets.shape[1:] != (_WORDS,):
        raise UnfitTrees(f"holds a tree whose sets of categories are not {_WORDS} words each")
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
