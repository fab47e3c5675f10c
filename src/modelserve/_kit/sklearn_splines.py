"""The splines of scikit-learn's SplineTransformer, checked before anything asks them.

SciPy checks knots and coefficients where a spline is made, and not where one is read from a file: the
compiled code that evaluates it takes for granted that they fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from modelserve._kit.estimator_parts import parts

SPLINE = "scipy.interpolate._bsplines.BSpline"


class UnfitSplines(ValueError):
    """A spline's coefficients do not fit its knots; the message says how."""


def check_splines(estimator: Any) -> None:
    """Raise UnfitSplines unless every spline inside of ``estimator`` could have been made by SciPy."""
    for spline in _splines(estimator):
        if not all(_fits(*each) for each in _held(spline)):
            raise UnfitSplines("holds a spline whose coefficients do not fit its knots")


def _splines(estimator: Any) -> Iterator[Any]:
    for part in parts(estimator):
        if f"{type(part).__module__}.{type(part).__qualname__}" == SPLINE:
            yield part


def _held(spline: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Knots, coefficients, degree and axis under all names that some SciPy may ask for: 1.17 has ``_t``."""
    held = vars(spline)
    for knots in [held[name] for name in ("t", "_t") if name in held] or [None]:
        for coefficients in [held[name] for name in ("c", "_c") if name in held] or [None]:
            yield knots, coefficients, held.get("k"), held.get("axis")


def _fits(knots: Any, coefficients: Any, degree: Any, axis: Any) -> bool:
    if not (_doubles(knots) and _doubles(coefficients) and type(degree) is int and axis == 0):
        return False
    ordered = knots.ndim == 1 and np.isfinite(knots).all() and (np.diff(knots) >= 0).all()
    enough = degree >= 0 and len(knots) >= 2 * degree + 2
    return bool(ordered and enough and coefficients.ndim and len(coefficients) >= len(knots) - degree - 1)


def _doubles(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == np.float64
