"""An experiment's readout over its outcomes in letters: a chart for each arm, as wide as the terminal.

Every column is a number of outcomes, from the first to all of them; it shows the difference to the control
between its limits. What is beyond the chart is cut: the limits of the first outcomes are as wide as can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

Json = dict[str, Any]
ROWS = 11
"""Of a chart; the one in the middle is no difference."""
LEAST, MOST, FIGURES = 20, 100, 10
"""Columns of a chart, and of the figures before it."""
SETTLED = 8
"""The limits after so many parts of the outcomes set the chart's height."""


def drawn(course: Json, width: int) -> RenderableType:
    """``course`` as the control API tells it. Colours are Rich's affair, which knows NO_COLOR."""
    head = Text(f"{course['name']}: limits that hold at all times together, ", "bold")
    head.append(f"{course['confidence']:.0%} confidence")
    columns = min(max(width - FIGURES - 2, LEAST), MOST)
    return Group(head, *(line for metric in course["metrics"] for line in _metric(metric, columns)))


def differences(metric: Json) -> dict[str, list[Json]]:
    """By arm but the control: its difference to it at each point."""
    arms = [arm["name"] for arm in metric["points"][-1]["arms"]]
    return {
        arm: [point["arms"][number]["difference"] for point in metric["points"]]
        for number, arm in enumerate(arms)
        if number
    }


def reach(metric: Json) -> float:
    """The largest difference that a chart shows, in the metric's unit."""
    settled = len(metric["points"]) // SETTLED
    ends = [abs(found[settled][end]) for found in differences(metric).values() for end in ("low", "high")]
    return float(max(*ends, metric["margin"]) * 1.05) or 1.0


def unit(metric: Json) -> tuple[float, str]:
    """What a difference is multiplied by to be told, and what it is then."""
    return (100.0, ", points") if metric["kind"] == "rate" else (1.0, "")


def _metric(metric: Json, columns: int) -> Iterator[Text]:
    if not metric["points"]:
        yield Text(f"{metric['name']}: no outcome yet")
        return
    last = metric["points"][-1]
    control = last["arms"][0]["name"]
    said = f"winner: {last['winner']}" if last["winner"] else last["conclusion"]
    for arm, found in differences(metric).items():
        yield Text("")
        yield Text(f"{metric['name']}: {arm} minus {control}{unit(metric)[1]}", "bold")
        yield from _Chart(metric, found, columns).lines()
    count = f"{last['outcomes']:,}"
    yield Text(f"{'outcomes':>{FIGURES}}  1{count:>{columns - 1}}", "dim")
    yield Text(f"{metric['name']} ends with: {said}")


class _Chart:
    """The rows of one arm, from the largest difference to the least."""

    def __init__(self, metric: Json, found: list[Json], columns: int) -> None:
        self._reach, self._margin = reach(metric), metric["margin"]
        self._factor = unit(metric)[0]
        self._better = 1 if metric["direction"] == "up" else -1
        self._columns = [found[column * len(found) // columns] for column in range(columns)]

    def lines(self) -> Iterator[Text]:
        margins = {self._row(self._margin), self._row(-self._margin)}
        for row in range(ROWS):
            line = Text(f"{self._figure(row):>{FIGURES}}  ")
            for limits in self._columns:
                line.append(*self._cell(row, limits, self._ground(row, margins)))
            yield line

    def _figure(self, row: int) -> str:
        """Of the ends and the middle; in between nothing."""
        if row not in (0, ROWS // 2, ROWS - 1):
            return ""
        return f"{self._reach * (1 - 2 * row / (ROWS - 1)) * self._factor:+.3g}" if row != ROWS // 2 else "0"

    @staticmethod
    def _ground(row: int, margins: set[int]) -> str:
        if row == ROWS // 2:
            return "─"
        return "·" if row in margins else " "

    def _cell(self, row: int, limits: Json, ground: str) -> tuple[str, str]:
        top, bottom = self._row(limits["high"]), self._row(limits["low"])
        if limits["estimate"] is not None and self._row(limits["estimate"]) == row:
            return "●", self._colour(limits)
        return ("│", self._colour(limits)) if top <= row <= bottom else (ground, "dim")

    def _colour(self, limits: Json) -> str:
        """Green where it is better for sure, red where it is worse."""
        low, high = sorted(self._better * limits[end] for end in ("low", "high"))
        return "green" if low > 0 else "red" if high < 0 else "yellow"

    def _row(self, value: float) -> int:
        part = (1 - min(max(value / self._reach, -1.0), 1.0)) / 2
        return round(part * (ROWS - 1))
