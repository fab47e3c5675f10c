"""What an estimator is made of: the parts of libraries whose predictions keep nothing between two lines of
code, and others, of which nothing is known.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

_LIBRARIES = frozenset(
    {"sklearn", "xgboost", "lightgbm", "numpy", "scipy", "builtins", "collections", "ctypes"}
)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)
_OF_TARGETS = frozenset({"classes_", "transformer_"})
"""Attributes learnt from what is to be predicted, and not from rows."""
_ARGUMENTS = ("kw_args", "inv_kw_args")
"""What ``FunctionTransformer`` hands to its functions with each call."""
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
    """Whether a part was told to write to the rows that it is given (``copy=False``), or is a function that
    was."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    told = [(name.rpartition("__")[2], value) for name, value in parameters.items()]
    of_functions = [value for name, value in told if name in _ARGUMENTS and isinstance(value, dict)]
    return any(name == "copy" and not value for name, value in told) or any(map(_overwrite, of_functions))


def _overwrite(arguments: dict[str, Any]) -> bool:
    return any(not value if name == "copy" else _is_written(name, value) for name, value in arguments.items())


def _is_plain(part: Any) -> bool:
    if isinstance(part, np.generic):
        return not part.dtype.hasobject
    return isinstance(part, str | bytes | int | float | complex | None)


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
        if id(part) in seen or _is_plain(part):
            continue
        seen[id(part)] = part  # held, so that no other gets its id
        yield part
        left += _inside(part, without)


def _is_known(part: Any) -> bool:
    """A linear booster of XGBoost has no promise for several threads."""
    if isinstance(part, types.MethodType | types.ModuleType):
        return False
    if isinstance(part, partial):  # what it calls is a part of it
        return not any(_is_written(*each) for each in part.keywords.items())
    if _name(part).partition(".")[0] not in _LIBRARIES:
        return False
    return getattr(part, "booster", None) != "gblinear" and not _keeps_results(part)


def _keeps_results(part: Any) -> bool:
    """Whether it is a ``FunctionTransformer`` whose function writes to an array among its arguments."""
    given = [getattr(part, name, None) for name in _ARGUMENTS]
    return any(_is_written(*each) for held in given if isinstance(held, dict) for each in held.items())


def _is_written(name: str, value: Any) -> bool:
    """By the names that NumPy and SciPy have for it: ``out``, ``output``, ``overwrite_b``."""
    if name.startswith("overwrite_"):
        return bool(value)
    return name in {"out", "output"} and value is not None


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
    elif isinstance(part, partial):
        yield from (part.func, part.args, part.keywords)
    elif isinstance(part, np.ndarray | np.generic):
        yield from part.ravel().tolist() if part.dtype.hasobject else ()
    if not isinstance(part, _FUNCTIONS):
        held = getattr(part, "__dict__", {})
        yield from (value for name, value in held.items() if name not in without)
