"""An experiment's readout over its outcomes as a picture: the differences to the control, with their limits.
Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelserve.cli.experiment_course import differences, reach, unit
from modelserve.cli.pictures import figure, save
from modelserve.errors import InvalidInput

COLOURS = ("#2c6fbb", "#c0392b", "#16806a", "#e08e0b", "#7d3c98", "#6c7a89", "#b03a80")
"""Of the arms but the control, in the order of the spec."""

Json = dict[str, Any]


def draw(course: Json, path: Path) -> None:
    """Write the picture; the ending of ``path`` says its kind. Raises Unavailable without matplotlib,
    InvalidInput for a file that can't be written or an experiment without an outcome."""
    metrics = [metric for metric in course["metrics"] if metric["points"]]
    picture = figure(9, 1 + 2.8 * max(len(metrics), 1))
    if not metrics:
        raise InvalidInput(f"--out: {course['name']} has no outcome yet that could be drawn")
    panels = picture.subplots(len(metrics), squeeze=False)[:, 0]
    for panel, metric in zip(panels, metrics, strict=True):
        _metric(panel, metric)
    panels[0].set_title(
        f"{course['name']}: limits that hold at all times together, {course['confidence']:.0%} confidence",
        loc="left", fontweight="bold", pad=14,
    )  # fmt: skip
    panels[-1].set_xlabel("outcomes of all arms")
    save(picture, path)


def _metric(panel: Any, metric: Json) -> None:
    factor, name = unit(metric)
    outcomes = [point["outcomes"] for point in metric["points"]]
    control = metric["points"][-1]["arms"][0]["name"]
    for colour, (arm, found) in zip(COLOURS, differences(metric).items(), strict=False):
        low, high = ([limit[end] * factor for limit in found] for end in ("low", "high"))
        estimates = [limit["estimate"] for limit in found]
        line = [float("nan") if value is None else value * factor for value in estimates]
        panel.fill_between(outcomes, low, high, color=colour, alpha=0.18, linewidth=0)
        panel.plot(outcomes, line, color=colour, label=arm, linewidth=1.6)
    margin, most = metric["margin"] * factor, reach(metric) * factor
    panel.axhline(0, color="#2d3436", linewidth=1)
    for end in {-margin, margin}:
        panel.axhline(end, color="#2d3436", linestyle=":", linewidth=1)
    panel.set_ylim(-most, most)
    panel.set_xlim(0, outcomes[-1])
    panel.set_ylabel(f"{metric['name']}: difference\nto {control}{name}")
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
