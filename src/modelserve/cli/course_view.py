"""A rollout over time in letters: one line for each figure, as wide as the terminal.

Every column is a moment. Evidence is a part of its bound, so a full column has decided; weights, requests and
failures go from nothing to the largest of their line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from modelserve.cli.explain_view import clock
from modelserve.cli.output import share

LEVELS = " ▁▂▃▄▅▆▇█"
LEAST, MOST, FIGURES = 20, 160, 12
"""Columns of the drawing, and of the figure behind a line."""

FAR = 2.0
"""Part of a bound from which on it matters no more how far evidence is beyond it."""

View = dict[str, Any]
Values = Sequence[float | None]


def drawn(course: View, width: int) -> RenderableType:
    """``course`` as the control API tells it. Colours are Rich's affair, which knows NO_COLOR."""
    head = Text(f"{course['candidate']} against {course['stable'] or 'nothing'}: {course['phase']}", "bold")
    if not course["points"]:
        return Group(head, Text("no look that is kept can be drawn"))
    return Group(head, *_Drawing(course, width).lines())


class _Drawing:
    def __init__(self, course: View, width: int) -> None:
        self._course, points = course, course["points"]
        self._names = list(dict.fromkeys(name for point in points for name in point["evidence"]))
        self._label = max([9, *(len(name) for name in self._names)]) + 2
        self._columns = min(max(width - self._label - FIGURES - 2, LEAST), MOST)
        self._begin, self._end = points[0]["at"], points[-1]["at"]
        self._slots = self._by_column(points)

    def lines(self) -> Iterator[Text]:
        weight = self._values(lambda point: point["weight"])
        yield self._line("weight", weight, 1.0, _percent(weight), "cyan")
        yield Text("evidence that the candidate is worse: rolls back when the column is full", "dim")
        for name in self._names:
            yield self._evidence(name, 0, "red")
        yield Text(
            "evidence that it is within the margin: promotes when all that are asked for are full", "dim"
        )
        for name in self._names:
            yield self._evidence(name, 1, "green")
        yield from self._arms("requests a second", 0, "{:,.0f}/s")
        yield from self._arms("failures a second", 1, "{:,.2g}/s")
        yield from self._marks()

    def _evidence(self, name: str, index: int, colour: str) -> Text:
        values = self._values(lambda point: evidence(point, name, index))
        return self._line(name, values, 1.0, _percent(values), colour)

    def _arms(self, title: str, index: int, form: str) -> Iterator[Text]:
        yield Text(title, "dim")
        for arm, colour in (("candidate", "magenta"), ("stable", "blue")):
            values = self._values(partial(_rate, arm=arm, index=index))
            most = max((value for value in values if value is not None), default=0.0)
            yield self._line(arm, values, most, f"≤ {form.format(most)}", colour)

    def _marks(self) -> Iterator[Text]:
        """A number below each change of state, and what it was."""
        shown = [t for t in self._course["transitions"] if self._begin <= t["at"] <= self._end]
        row = [" "] * self._columns
        for number, transition in enumerate(shown, start=1):
            row[self._column(transition["at"])] = str(number % 10)
        yield Text(f"{clock(self._begin):<{self._label}}") + Text("".join(row), "bold")
        for number, transition in enumerate(shown, start=1):
            after, weight = transition["after"], share(transition["weight"])
            why = transition["reason"].split("; ")[0]
            yield Text(f"{number}  {clock(transition['at'])}  {after}, {weight}: {why}")

    def _line(self, label: str, values: Values, most: float, figure: str, colour: str) -> Text:
        bars = "".join(_level(value, most) for value in values)
        return Text(f"{label:<{self._label}}") + Text(bars, colour) + Text(f"  {figure}")

    def _values(self, of: Callable[[View], float | None]) -> list[float | None]:
        """One for each column: the largest of its points; an empty one goes on as the one before."""
        found: list[float | None] = []
        for points in self._slots:
            told = [value for point in points if (value := of(point)) is not None]
            found.append(max(told) if told else (found[-1] if found and not points else None))
        return found

    def _by_column(self, points: Sequence[View]) -> list[list[View]]:
        slots: list[list[View]] = [[] for _ in range(self._columns)]
        for point in points:
            slots[self._column(point["at"])].append(point)
        return slots

    def _column(self, at: float) -> int:
        part = (at - self._begin) / max(self._end - self._begin, 1e-9)
        return min(int(part * self._columns), self._columns - 1)


def _level(value: float | None, most: float) -> str:
    if value is None or most <= 0:
        return " "
    part = min(max(value / most, 0.0), 1.0)
    return LEVELS[0] if value <= 0 else LEVELS[max(1, int(part * (len(LEVELS) - 1)))]


def _percent(values: Values) -> str:
    told = [value for value in values if value is not None]
    if not told:
        return "not asked"
    return f"{max(told[-1], 0.0):.0%} at last" if told[-1] < FAR else "far beyond"


def evidence(point: View, name: str, index: int) -> float | None:
    """Of harm (0) or safety (1), as a part of its bound; None where it is not asked for."""
    told: Sequence[float | None] = point["evidence"].get(name, (None, None))
    return told[index]


def _rate(point: View, arm: str, index: int) -> float | None:
    counts = point[arm]
    return counts[index] / point["seconds"] if counts and point["seconds"] > 0 else None
