"""What an estimator is made of: the parts of libraries whose predictions keep nothing between two lines of
code, and others, of which nothing is known.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

_LIBRARIES = frozenset(
    {"sklearn", "xgboost", "lightgbm", "numpy", "scipy", "builtins", "collections", "ctypes"}
)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)
_OF_TARGETS = frozenset({"classes_", "transformer_"})
"""Attributes learnt from what is to be predicted, and not from rows."""
_MOST = 1_000_000
"""Parts that are looked at; what holds more is not known."""


def stranger(estimator: Any) -> str:
    """The first part of which it is not known that threads may share it; empty if there is none."""
    for count, part in enumerate(parts(estimator)):
        if not _is_known(part):
            return _name(part)
        if count >= _MOST:
            return f"more than {_MOST} parts"
    return ""


def overwrites(estimator: Any) -> bool:
    """Whether a part was told to write to the rows that it is given (``copy=False``)."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    return any(name.rpartition("__")[2] == "copy" and not value for name, value in parameters.items())


def fitted_on_singles(estimator: Any) -> bool:
    """Whether a part has learnt from numbers of single precision, which it compares with such numbers alone:
    0.1 in double precision is another. What it was fitted on shows in the arrays that it learnt.
    """
    learnt = parts(estimator, _OF_TARGETS)
    return any(isinstance(part, np.ndarray) and part.dtype == np.float32 for part in learnt)


def parts(estimator: Any, without: frozenset[str] = frozenset()) -> Iterator[Any]:
    """It and all that it holds, each once, but for what attributes of these names hold."""
    seen: dict[int, Any] = {}
    left = [estimator]
    while left:
        part = left.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | None):
            continue
        seen[id(part)] = part  # held, so that no other gets its id
        yield part
        left += _inside(part, without)


def _is_known(part: Any) -> bool:
    """A linear booster of XGBoost has no promise for several threads."""
    if isinstance(part, types.MethodType | types.ModuleType):
        return False
    if _name(part).partition(".")[0] not in _LIBRARIES:
        return False
    return getattr(part, "booster", None) != "gblinear"


def _name(part: Any) -> str:
    kind = part if isinstance(part, _FUNCTIONS) else type(part)
    return f"{kind.__module__}.{kind.__qualname__}"  # a function made by exec() has no module, and is unknown


def _inside(part: Any, without: frozenset[str] = frozenset()) -> Iterator[Any]:
    """What it holds, but for attributes of these names."""
    if isinstance(part, dict):
        yield from part.keys()
        yield from part.values()
    elif isinstance(part, list | tuple | set | frozenset | deque):
        yield from part
    elif isinstance(part, np.ndarray):
        yield from part.ravel() if part.dtype == object else ()
    if not isinstance(part, _FUNCTIONS):
        held = getattr(part, "__dict__", {})
        yield from (value for name, value in held.items() if name not in without)
