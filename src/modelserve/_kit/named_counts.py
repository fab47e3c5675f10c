"""Counts under names that strangers choose: however many there are, what is kept is bounded."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

OTHER = "other"
"""Under which all is counted that has no place of its own."""
MOST = 50
"""Names that have a place at the same time."""
IDLE = 10_000
"""Counts in a row without a name, after which a newcomer may take its place."""
STRIDE = 100
"""Of how many newcomers without a place one looks for an idle name: looking costs a few microseconds."""

Reading = tuple[int, int, int]
"""When the name got its place (larger: later; never twice the same in a process), how many, how many bad."""

_births = itertools.count(1)


@dataclass(slots=True)
class _Place:
    born: int
    last: int
    total: int = 0
    bad: int = 0


class NamedCounts:
    """First come, first served; who is long idle makes room. A name that comes back later begins anew, with
    another birth: so counts of one birth only ever rise."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._other = _Place(next(_births), 0)
        self._count = self._turned_away = 0

    def add(self, name: str, bad: bool) -> None:
        self._count += 1
        place = self._places.get(name) or self._admit(name)
        place.last = self._count
        place.total += 1
        place.bad += bad

    def read(self) -> dict[str, Reading]:
        """By name; :data:`OTHER` only where it was needed."""
        read = {name: (place.born, place.total, place.bad) for name, place in self._places.items()}
        if self._other.total:
            read[OTHER] = (self._other.born, self._other.total, self._other.bad)
        return read

    def _admit(self, name: str) -> _Place:
        if name == OTHER or (len(self._places) >= MOST and not self._make_room()):
            return self._other
        place = self._places[name] = _Place(next(_births), self._count)
        return place

    def _make_room(self) -> bool:
        self._turned_away += 1
        if self._turned_away % STRIDE:
            return False
        name = min(self._places, key=lambda known: self._places[known].last)
        if self._count - self._places[name].last < IDLE:
            return False
        del self._places[name]
        return True
