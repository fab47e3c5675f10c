"""Layout: an XGBoost model in its native format, .ubj or .json.

The engine trusts what it reads: a file that is cut short or points outside of its own tables can end the
process. So the whole file is read and checked here first, without the engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelserve._kit import ubjson
from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import Declaration
from modelserve.packages.matrices import matrix_signature
from modelserve.packages.reading import read_object
from modelserve.packages.single_file import SingleFile, head_of

OUTPUT = "prediction"

_LEARNER = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')
_JSON = re.compile(rb'\s*\{\s*"')
_OLD_BINARY = re.compile(rb"binf|.{136}[\x04-\x20]\0{7}[a-z]+:[a-z]+", re.DOTALL)
"""The binary format up to XGBoost 3.0: a mark, or 136 bytes of parameters and then the objective."""
_BOOSTERS = ("gbtree", "dart", "gblinear")


def _looks_right(path: Path) -> bool:
    """Whether a .json file begins as XGBoost writes it, and not as somebody's configuration."""
    return path.suffix == ".ubj" or _LEARNER.match(head_of(path)) is not None


def read_signature(path: Path, declaration: Declaration, alone: bool = False) -> Signature:
    """One matrix in, the booster's prediction out. Raises InvalidPackage for a damaged file."""
    document = read_object(path) if _is_json(path) else _read_ubjson(path)
    try:
        learner = document["learner"]
        features = int(learner["learner_model_param"]["num_feature"])
        columns = _columns(learner)
        _check_booster(learner["gradient_booster"], features)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InvalidPackage(
            f"{path.name}: is no whole XGBoost model ({_what(error)}); "
            f"save it again with `model.save_model()`"
        ) from error
    shape = (-1,) if columns == 1 else (-1, columns)
    outputs = [TensorSpec(OUTPUT, DataType.FP32, shape)]
    return matrix_signature(path.name, features, outputs, declaration, _names(learner))


XGBOOST = SingleFile(Runtime.XGBOOST, (".ubj", ".json"), read_signature, _looks_right)
"""A file ``anything.ubj`` or ``.json`` as ``Booster.save_model`` writes it, or a folder with exactly one."""


def _is_json(path: Path) -> bool:
    """By its suffix, else (MLflow writes model.xgb) by its first bytes: UBJSON quotes nothing."""
    return path.suffix == ".json" or _JSON.match(head_of(path)) is not None


def _read_ubjson(path: Path) -> Any:
    if _OLD_BINARY.match(head_of(path)):
        raise InvalidPackage(
            f"{path.name}: is in XGBoost's old binary format, which is no longer read; load it with the "
            f"XGBoost that wrote it and save it as .ubj or .json"
        )
    try:
        return ubjson.loads(path.read_bytes())
    except ubjson.NotUbjson as error:
        raise InvalidPackage(
            f"{path.name}: is not UBJSON, or is truncated ({error}); save it again with `model.save_model()`"
        ) from error


def _names(learner: Mapping[str, Any]) -> list[str]:
    """What the training data called the features, where the file tells; files before XGBoost 1.4 do not."""
    names = learner.get("feature_names")
    return list(map(str, names)) if isinstance(names, list) else []


def _columns(learner: Mapping[str, Any]) -> int:
    """Numbers in one row of the prediction: one for each class or target, else one."""
    if learner["objective"]["name"] == "multi:softmax":
        return 1
    parameters = learner["learner_model_param"]
    return max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))


def _check_booster(booster: Mapping[str, Any], features: int) -> None:
    if booster["name"] not in _BOOSTERS:
        raise ValueError(f"booster {booster['name']!r} is not known")
    if booster["name"] == "gblinear":
        return
    inner = booster["gbtree"] if booster["name"] == "dart" else booster
    trees = inner["model"]["trees"]
    if len(trees) != int(inner["model"]["gbtree_model_param"]["num_trees"]):
        raise ValueError(f"{len(trees)} trees are not as many as it says")
    for index, tree in enumerate(trees):
        _check_tree(f"tree {index}", tree, features)


def _check_tree(place: str, tree: Mapping[str, Any], features: int) -> None:
    """Every node's children, parent and feature are there."""
    nodes = int(tree["tree_param"]["num_nodes"])
    left, right = _whole(tree["left_children"]), _whole(tree["right_children"])
    split = _whole(tree["split_indices"])
    lengths = {len(left), len(right), len(split), len(tree["split_conditions"]), len(tree["default_left"])}
    if lengths != {nodes} or nodes < 1:
        raise ValueError(f"{place} has lists of {sorted(lengths)} entries for {nodes} nodes")
    inner = left != -1
    if ((left < -1) | (left >= nodes) | (inner & ((right < 0) | (right >= nodes)))).any():
        raise ValueError(f"{place} has a branch to a node that is not there")
    leaves = right[~inner]
    vectors = len(tree.get("leaf_weights", ())) // max(1, int(tree["tree_param"]["size_leaf_vector"]))
    if ((leaves < -1) | (leaves >= max(vectors, 0))).any():
        raise ValueError(f"{place} has a leaf whose values are not there")
    if (((split < 0) | (split >= features)) & inner).any():
        raise ValueError(f"{place} splits on a feature that is not there")


def _whole(values: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(values, dtype=np.int64)


def _what(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
