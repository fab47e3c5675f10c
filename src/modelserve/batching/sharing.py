"""Whether requests may share a run of a model, and one may be cut into several: where no answer changes.

Two things must hold. All inputs and outputs call their first axis alike: what a graph calls ``num_selected``
has no row for each row that goes in, however often the numbers agree. And a few different rows, run in
company, get the answers that they got alone: names say nothing of an operator that looks at all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modelserve.domain.inference import Array, DataType, Signature, Tensors, TensorSpec

ROUNDING = 1e-4
"""Share of an output's largest value by which it may differ in company: engines add up in another order for
another number of rows, which makes some 1e-6 of it in single precision."""
COARSE_ROUNDING = 1e-2
"""The same in half precision, and on accelerators, which may multiply in less than single precision."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """``rows``: whether requests may share a run; ``lengths``: also where padding gives them one length.

    ``why`` says why not, for people; it is empty where both hold. ``widths`` names outputs whose axis 1 has a
    length of its own, and not the inputs'.
    """

    rows: bool
    lengths: bool = True
    why: str = ""
    widths: frozenset[str] = frozenset()


TOGETHER = Sharing(True)
UNTRIED = Sharing(False, False, "whether requests may share a run was not tried")


def one_length(why: str) -> Sharing:
    """Requests of one length alone share a run, because of ``why``."""
    return Sharing(True, False, f"only requests of one length share a run: {why}")


def unlike_axes(signature: Signature) -> str:
    """Why the first axes of the tensors can't all count the same rows; empty if they can."""
    places = list(_places(signature))
    first, rows = places[0]
    for place, spec in places:
        if reason := _unknown(place, spec):
            return reason
        if spec.first_axis != rows.first_axis:
            return f'{first} calls its first axis "{rows.first_axis}", and {place} "{spec.first_axis}"'
    return ""


def fixed_axis(signature: Signature) -> str:
    """Which tensor does not let the number of rows be chosen; empty if none."""
    return next(
        (_fixed(place, spec) for place, spec in _places(signature) if spec.shape[:1] != (-1,)), ""
    ) or next(
        (f"its program is made for runs with {spec.rows_if}" for spec in signature.inputs if spec.rows_if), ""
    )


def stray_axis(signature: Signature) -> str:
    """Which output has an axis of any length behind axis 0, where no input has one; empty if none."""
    if any(-1 in spec.shape[1:] for spec in signature.inputs):
        return ""
    stray = next((spec for spec in signature.outputs if -1 in spec.shape[1:]), None)
    return (
        f'output "{stray.name}" may have any length behind its first axis, and no input may' if stray else ""
    )


def _places(signature: Signature) -> Iterator[tuple[str, TensorSpec]]:
    for role, specs in (("input", signature.inputs), ("output", signature.outputs)):
        yield from ((f'{role} "{spec.name}"', spec) for spec in specs)


def _unknown(place: str, spec: TensorSpec) -> str:
    if spec.shape[:1] != (-1,):
        return _fixed(place, spec)
    return "" if spec.first_axis else f"the first axis of {place} has no name, so it may not count rows"


def _fixed(place: str, spec: TensorSpec) -> str:
    return f"the first axis of {place} is fixed at {spec.shape[0]}" if spec.shape else f"{place} has no axes"


def departure(alone: Tensors, company: Tensors, coarse: bool = False, where: str = "in company") -> str:
    """How outputs that some rows got in company depart from those that they got alone, in words with numbers.

    Empty if they are the same within the engine's rounding: an element may differ by :data:`ROUNDING` of the
    largest value in its output (:data:`COARSE_ROUNDING` in half precision, or where all is ``coarse``). Whole
    numbers, truth values and BYTES must be equal. ``where`` says what is the matter with ``company``.
    """
    return next(filter(None, _departures(alone, company, coarse, where)), "")


def _departures(alone: Tensors, company: Tensors, coarse: bool, where: str) -> Iterator[str]:
    for name, expected in alone.items():
        found = company[name]
        if found.shape != expected.shape:
            yield f'output "{name}" has shape {list(expected.shape)} alone and {list(found.shape)} {where}'
        elif np.array_equal(found, expected):
            continue
        elif expected.dtype.kind != "f":
            unequal = int((expected != found).sum())
            yield f'output "{name}": {unequal} of {expected.size} values change {where}'
        else:
            half = DataType.of(expected.dtype) is DataType.FP16
            allowed = COARSE_ROUNDING if coarse or half else ROUNDING
            if told := _apart(expected, found, allowed):
                yield f'output "{name}" changes {where} {told}'


def _apart(expected: Array, found: Array, allowed: float) -> str:
    """Not-a-number is the same as itself, and so is each infinity."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference, largest = float(np.abs(expected - found).max()), float(np.abs(expected).max())
    if not np.isfinite(difference) or not np.isfinite(largest):  # the careful way takes ten times as long
        same = (expected == found) | (np.isnan(expected) & np.isnan(found))
        finite = np.isfinite(expected) & np.isfinite(found)
        if (~same & ~finite).any():
            return "from finite numbers to others, or back"
        difference = float(np.abs(expected - found, where=finite, out=np.zeros_like(expected)).max())
        largest = float(np.abs(expected, where=finite, out=np.zeros_like(expected)).max())
    if difference <= allowed * largest:
        return ""
    share = f"{difference / largest:.2%} of its largest value" if largest else f"{difference:.2g} from 0"
    return f"by {share} ({allowed:.2%} may be rounding)"
