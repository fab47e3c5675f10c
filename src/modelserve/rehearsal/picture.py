"""A picture of a simulation: when it is decided, and what it costs. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelserve.errors import InvalidInput, Unavailable
from modelserve.rehearsal.simulation import Summary


def draw(summaries: Sequence[Summary], path: Path) -> None:
    """Write it; the ending of ``path`` says its kind. Raises Unavailable without matplotlib."""
    try:
        from modelserve._kit.matplotlib import Figure
    except ImportError:
        raise Unavailable("--plot needs matplotlib: pip install 'modelserve[plot]'") from None
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    when, cost = figure.subplots(1, 2)
    _when(when, summaries)
    _cost(cost, summaries)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--plot: got {str(path)!r}: {error}") from None


def decided_by(summary: Summary, end: str) -> list[tuple[float, float]]:
    """(seconds, share of all runs that have ended so by then), climbing."""
    seconds = sorted(outcome.seconds for outcome in summary.ended(end))
    return [(at, (number + 1) / len(summary.outcomes)) for number, at in enumerate(seconds)]


def _when(axes: Any, summaries: Sequence[Summary]) -> None:
    last = max(outcome.seconds for summary in summaries for outcome in summary.outcomes)
    for number, summary in enumerate(summaries):
        for end, style in (("rolled back", "-"), ("promoted", "--")):
            steps = decided_by(summary, end)
            if steps:
                at, share = zip((0.0, 0.0), *steps, (last, steps[-1][1]), strict=True)
                label = f"{summary.scene.regression.text}: {end}"
                axes.step(at, share, style, where="post", color=f"C{number}", label=label)
    axes.set_xlabel("seconds since the candidate was ready")
    axes.set_ylabel("share of the runs")
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()


def _cost(axes: Any, summaries: Sequence[Summary]) -> None:
    axes.boxplot([[o.extra_failures for o in summary.outcomes] for summary in summaries], whis=(0, 100))
    axes.set_xticks(range(1, len(summaries) + 1), [s.scene.regression.text for s in summaries])
    axes.set_ylabel("failures beyond stable's rate")
    axes.grid(alpha=0.3, axis="y")
