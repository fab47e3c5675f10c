"""A rollout over time as a picture: weights, evidence against its bounds, requests and failures. Needs
matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from modelserve.cli.course_view import evidence
from modelserve.cli.pictures import figure, save
from modelserve.errors import InvalidInput

ARMS = {"candidate": "#c0392b", "stable": "#2c6fbb"}
GUARDS = ("#2d3436", "#e08e0b", "#7d3c98", "#16806a", "#b03a80", "#1f9bcf", "#8d6e14", "#6c7a89")
LOWEST, HIGHEST = -0.35, 1.25
"""Evidence is drawn between these parts of its bound; beyond them it decides nothing more."""
LONG = 600
"""Seconds from which on time is told in minutes."""

View = dict[str, Any]


def draw(course: View, path: Path) -> None:
    """Write the picture; the ending of ``path`` says its kind. Raises Unavailable without matplotlib,
    InvalidInput for a file that can't be written or a rollout of which no look can be drawn."""
    picture = figure(10, 8)
    if not course["points"]:
        raise InvalidInput(f"--out: no look of {course['candidate']} is kept that could be drawn")
    Picture(course, picture.subplots(4, sharex=True, height_ratios=(1.1, 1.6, 1.6, 1.6))).draw()
    save(picture, path)


class Picture:
    """Four panels above each other, over the same time."""

    def __init__(self, course: View, panels: Sequence[Any]) -> None:
        self._course, self._points = course, course["points"]
        self._weight, self._harm, self._safety, self._traffic = panels
        self._begin = self._points[0]["at"]
        long = self._points[-1]["at"] - self._begin > LONG
        self._unit, self._unit_name = (60.0, "minutes") if long else (1.0, "seconds")
        self._times = [self._time(point["at"]) for point in self._points]

    def draw(self) -> None:
        self._draw_weight()
        self._draw_evidence(self._harm, 0, "worse", "rolls back", "#c0392b")
        self._draw_evidence(self._safety, 1, "within the margin", "promotes, if all do", "#16806a")
        self._draw_traffic()
        self._mark_transitions()
        self._traffic.set_xlabel(f"{self._unit_name} since the first look")
        for panel in (self._weight, self._harm, self._safety, self._traffic):
            panel.grid(alpha=0.25)
            panel.spines[["top", "right"]].set_visible(False)

    def _time(self, at: float) -> float:
        return float(at - self._begin) / self._unit

    def _draw_weight(self) -> None:
        weights = [point["weight"] * 100 for point in self._points]
        self._weight.fill_between(self._times, weights, step="pre", alpha=0.25, color=ARMS["candidate"])
        self._weight.step(self._times, weights, where="pre", color=ARMS["candidate"])
        self._weight.set_ylim(0, 105)
        self._weight.set_ylabel("weight, %")
        course = self._course
        self._weight.set_title(
            f"{course['candidate']} against {course['stable'] or 'nothing'}: {course['phase']}",
            loc="left", fontweight="bold", pad=34,
        )  # fmt: skip

    def _draw_evidence(self, panel: Any, index: int, what: str, decides: str, colour: str) -> None:
        names = dict.fromkeys(name for point in self._points for name in point["evidence"])
        for name, line in zip(names, GUARDS * (len(names) // len(GUARDS) + 1), strict=False):
            values = self._series(partial(evidence, name=name, index=index))
            if any(value == value for value in values):
                panel.plot(self._times, values, color=line, label=name, linewidth=1.6)
        panel.axhline(1, color=colour, linestyle="--", linewidth=1.2)
        panel.text(0.003, 1.03, decides, color=colour, va="bottom", fontsize=9,
                   transform=panel.get_yaxis_transform(),
                   bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})  # fmt: skip
        panel.set_ylim(LOWEST - 0.05, HIGHEST + 0.07)
        panel.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        panel.set_ylabel(f"evidence:\n{what}")
        if index == 0 and panel.lines[1:]:
            panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)

    def _series(self, of: Callable[[View], float | None]) -> list[float]:
        """Clipped to the panel; nothing (NaN) where nothing was asked for."""
        found = [of(point) for point in self._points]
        clipped = [None if value is None else min(max(value, LOWEST), HIGHEST) for value in found]
        return [float("nan") if value is None else value for value in clipped]

    def _draw_traffic(self) -> None:
        """Requests as lines, failures as filled areas below them, on a scale that shows few beside many."""
        for arm, colour in ARMS.items():
            self._traffic.step(self._times, self._rates(arm, 0), where="pre", color=colour, label=arm)
            failures = self._rates(arm, 1)
            self._traffic.fill_between(
                self._times, failures, step="pre", color=colour, alpha=0.35, linewidth=0,
                label=f"{arm}, failed",
            )  # fmt: skip
        self._traffic.set_yscale("symlog", linthresh=1)
        self._traffic.set_ylim(bottom=0)
        self._traffic.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        self._traffic.set_ylabel("requests a second")
        self._traffic.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)

    def _rates(self, arm: str, index: int) -> list[float]:
        return [
            point[arm][index] / point["seconds"] if point[arm] and point["seconds"] > 0 else float("nan")
            for point in self._points
        ]

    def _mark_transitions(self) -> None:
        last = float("-inf")
        for transition in self._course["transitions"]:
            time = self._time(transition["at"])
            if time < 0:
                continue
            for panel in (self._weight, self._harm, self._safety, self._traffic):
                panel.axvline(time, color="#555555", linewidth=0.8, alpha=0.6)
            row = 1.13 if time - last < self._times[-1] * 0.12 else 1.02
            last = time if row < 1.1 else float("-inf")
            self._weight.text(
                time, row, _label(transition), transform=self._weight.get_xaxis_transform(),
                ha="right" if time > self._times[-1] * 0.9 else "left", va="bottom", fontsize=8.5,
            )  # fmt: skip


def _label(transition: View) -> str:
    if transition["after"] == "canary":
        return f"{transition['weight'] * 100:g} %"
    metric = f" ({transition['metric']})" if transition["metric"] else ""
    return f"{transition['after']}{metric}"
