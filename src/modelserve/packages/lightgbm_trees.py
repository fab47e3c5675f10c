"""The trees of a LightGBM model file: all that one refers to is there."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REQUIRED = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_OF_NODES = (*_REQUIRED, "split_gain", "internal_value", "internal_weight", "internal_count")
_OF_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf|nan)"
_CATEGORICAL = 1
"""The bit of a node's decision type that says so."""
_NUMBERS = re.compile(rf" *(?:{_NUMBER}(?: +{_NUMBER})*)? *")


def check_tree(tree: Mapping[str, str], features: int) -> None:
    """All that it lists is there and a number, and every node's children and feature are there."""
    for name, values in tree.items():
        if _NUMBERS.fullmatch(values) is None:
            raise ValueError(f"tree {tree['Tree']}: {name} holds what is no number")
    place, leaves = f"tree {tree['Tree']}", int(tree["num_leaves"])
    if "num_cat" not in tree:
        raise ValueError(f"{place} has no num_cat: no engine since 2.0.5 reads such a model, train it again")
    if leaves < 1 or len(tree["leaf_value"].split()) != leaves:
        raise ValueError(f"{place} has not {leaves} leaves")
    if int(tree.get("is_linear", 0)):
        _check_linear(place, tree, leaves, features)
    if leaves > 1:
        _check_nodes(place, tree, leaves, features)
        _check_categories(place, tree)


def _check_nodes(place: str, tree: Mapping[str, str], leaves: int, features: int) -> None:
    nodes = leaves - 1
    missing = [name for name in _REQUIRED if name not in tree]
    if missing:
        raise ValueError(f"{place} has no {missing[0]}")
    _check_lengths(place, tree, {**dict.fromkeys(_OF_NODES, nodes), **dict.fromkeys(_OF_LEAVES, leaves)})
    children = [int(child) for side in ("left_child", "right_child") for child in tree[side].split()]
    if not all(-leaves <= child < nodes for child in children):
        raise ValueError(f"{place} has a branch to a node that is not there")
    _check_features(place, tree["split_feature"], features, "splits on")


def _check_linear(place: str, tree: Mapping[str, str], leaves: int, features: int) -> None:
    """Each leaf has a constant and, for as many features as it says, a feature and a coefficient."""
    counts = [int(count) for count in tree["num_features"].split()]
    if min(counts, default=0) < 0:
        raise ValueError(f"{place} has a leaf with less than no features")
    _check_lengths(place, tree, {"num_features": leaves, "leaf_const": leaves})
    _check_lengths(place, tree, dict.fromkeys(("leaf_features", "leaf_coeff"), sum(counts)))
    _check_features(place, tree["leaf_features"], features, "adds up")


def _check_categories(place: str, tree: Mapping[str, str]) -> None:
    """A split on a category names one of ``num_cat`` sets, whose bits stand between two boundaries."""
    sets = int(tree["num_cat"])
    splits = zip(tree["decision_type"].split(), tree["threshold"].split(), strict=True)
    named = [float(threshold) for kind, threshold in splits if int(kind) & _CATEGORICAL]
    if not all(0 <= index < sets for index in named):
        raise ValueError(f"{place} splits on categories that are not there")
    if sets:
        bounds = [int(bound) for bound in tree["cat_boundaries"].split()]
        whole = [0, *sorted(bounds[1:-1]), len(tree["cat_threshold"].split())]
        if len(bounds) != sets + 1 or bounds != whole:
            raise ValueError(f"{place} has sets of categories that are not there")


def _check_lengths(place: str, tree: Mapping[str, str], lengths: Mapping[str, int]) -> None:
    for name, length in lengths.items():
        if name in tree and len(tree[name].split()) != length:
            raise ValueError(f"{place}: {name} has not {length} entries")


def _check_features(place: str, named: str, features: int, does: str) -> None:
    if not all(0 <= int(feature) < features for feature in named.split()):
        raise ValueError(f"{place} {does} a feature that is not there")
