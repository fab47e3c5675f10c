"""The order of the columns of a model that takes one matrix.

A column is known by its name where the model knows names: it would take one for another in another place.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

from modelserve.domain.inference import TensorSpec
from modelserve.errors import InvalidPackage


def in_order(file: str, columns: tuple[TensorSpec, ...], names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """The columns in the order of ``names``, which ``file`` gives its features (empty if it gives none).

    Where others are called otherwise the owner has names of their own, and their order counts. Raises
    InvalidPackage where one of those is called as a feature that stands elsewhere: no order is right then.
    """
    by_name = {column.name: column for column in columns}
    if len(columns) == len(names) and by_name.keys() == set(names):
        return tuple(by_name[name] for name in names)
    _check_places(file, columns, names)
    return columns


def _check_places(file: str, columns: tuple[TensorSpec, ...], names: Sequence[str]) -> None:
    widths = [prod(column.shape[1:]) for column in columns]
    if min(widths, default=0) < 0:
        return  # how wide one is nobody knows, nor where the next begins
    known = {name: place for place, name in enumerate(names)}
    for column, width, place in zip(columns, widths, accumulate(widths, initial=0), strict=False):
        if width == 1 and known.get(column.name, place) != place:
            declared = ", ".join(each.name for each in columns)
            raise InvalidPackage(
                f"{file}: was fitted on the columns {', '.join(names)}, in which {column.name} is number "
                f"{known[column.name] + 1}; declared are {declared}, in which it is number {place + 1}; "
                f"call all by their names (any order will do), or none"
            )
