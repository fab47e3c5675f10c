"""Entities of two answers, matched place by place: the same, elsewhere, otherwise named, or alone.

A span is ``[label, start, end]`` with ``end`` exclusive.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from modelserve.domain.differences import DifferenceKind

Span = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Match:
    """One place in a text: what either version has there, and in what they differ."""

    stable: Span | None
    candidate: Span | None

    @property
    def kinds(self) -> tuple[DifferenceKind, ...]:
        if self.stable is None:
            return (DifferenceKind.EXTRA,)
        if self.candidate is None:
            return (DifferenceKind.MISSING,)
        moved = bool(self.stable[1:3] != self.candidate[1:3])
        renamed = bool(self.stable[0] != self.candidate[0])
        return (DifferenceKind.BOUNDARY,) * moved + (DifferenceKind.TYPE,) * renamed


def align(stable: Sequence[Span], candidate: Sequence[Span]) -> tuple[Match, ...]:
    """Every span once, in the order of the text.

    Equal spans belong together; then those at the same place; then those that overlap, of several the one
    with the same label, or that shares the most.
    """
    left, right = list(map(tuple, stable)), list(map(tuple, candidate))
    matches = [*_pick(left, right, lambda span: span), *_pick(left, right, lambda span: span[1:3])]
    matches += _overlapping(left, right)
    matches += [Match(span, None) for span in left] + [Match(None, span) for span in right]
    return tuple(sorted(matches, key=_place))


def _place(match: Match) -> tuple[int, int]:
    start, end = (match.stable or match.candidate or ("", 0, 0))[1:3]
    return start, end


def _pick(left: list[Any], right: list[Any], key: Any) -> Iterator[Match]:
    """Take out of both lists what has the same key."""
    waiting = defaultdict(list)
    for span in right:
        waiting[key(span)].append(span)
    rest = []
    for span in left:
        if partners := waiting[key(span)]:
            yield Match(span, partners.pop())
        else:
            rest.append(span)
    left[:] = rest
    right[:] = [span for spans in waiting.values() for span in spans]


def _overlapping(left: list[Any], right: list[Any]) -> Iterator[Match]:
    """Take out of both lists what overlaps."""
    free: list[tuple[int, Any]] = []
    for span in right:
        insort(free, (span[1], span))
    longest = max((span[2] - span[1] for span in right), default=0)
    rest = []
    for span in sorted(left, key=lambda span: span[1]):
        first = bisect_left(free, (span[1] - longest,))
        last = bisect_left(free, (span[2],))
        found = [entry for entry in free[first:last] if entry[1][2] > span[1]]
        if found:
            best = max(found, key=lambda entry: (entry[1][0] == span[0], _shared(span, entry[1])))
            free.remove(best)
            yield Match(span, best[1])
        else:
            rest.append(span)
    left[:], right[:] = rest, [span for _, span in free]


def _shared(one: Span, other: Span) -> int:
    return int(min(one[2], other[2]) - max(one[1], other[1]))
