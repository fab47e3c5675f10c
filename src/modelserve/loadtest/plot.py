"""A picture of a load test: latency by percentile, as HdrHistogram draws it. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modelserve.errors import InvalidInput, Unavailable
from modelserve.loadtest import buckets
from modelserve.loadtest.buckets import Counts
from modelserve.loadtest.report import Report

_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


def draw(report: Report, path: Path) -> None:
    """Write the picture; the ending of ``path`` says its kind. Raises Unavailable without matplotlib."""
    try:
        from modelserve._kit.matplotlib import Figure
    except ImportError:
        raise Unavailable("--plot needs matplotlib: pip install 'modelserve[plot]'") from None
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    _line(axes, report.waited.counts, "from when it was due" if report.plan.rate else "latency", "-")
    if report.plan.rate is not None:
        _line(axes, report.served.counts, "from when it was sent", "--")
    _label(axes, report)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--plot: got {str(path)!r}: {error}") from None


def _line(axes: Any, counts: Counts, label: str, style: str) -> None:
    filled = np.flatnonzero(counts)
    if filled.size:
        below = np.cumsum(counts)[filled] / counts.sum()
        odds = 1 / np.maximum(1 - below, 0.5 / counts.sum())  # the last value has no percentile of its own
        axes.step(
            odds, [buckets.bound(int(bucket)) * 1000 for bucket in filled], style, where="pre", label=label
        )


def _label(axes: Any, report: Report) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1 / (1 - tick) for tick in _TICKS], [f"{tick * 100:g} %" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_xlabel("share of the requests")
    axes.set_ylabel("milliseconds")
    axes.grid(alpha=0.3)
    axes.set_title(f"{report.target}\n{report.throughput:,.0f} requests/s, {report.error_rate:.2%} errors")
    if axes.lines:
        axes.legend()
