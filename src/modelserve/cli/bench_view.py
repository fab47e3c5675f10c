"""What ``modelserve bench`` shows: a line while it runs, then tables and the latencies' distribution."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.status import Status
from rich.text import Text

from modelserve.cli.output import errors, table

if TYPE_CHECKING:
    from modelserve.loadtest.crew import Progress
    from modelserve.loadtest.plans import Plan
    from modelserve.loadtest.report import Report

ROWS, BAR = 14, 40
"""Lines of the distribution, and letters of its longest bar."""
FIGURES = ("p50", "p90", "p95", "p99", "p99.9", "max", "mean")


@contextlib.contextmanager
def progress(plan: Plan, processes: int, url: str) -> Iterator[Callable[[Progress], None]]:
    """A line on stderr, if that is a terminal: time, rate, and percentiles of the last half second."""
    if not errors.is_terminal:
        yield lambda _: None
        return
    with Status(f"connecting to {escape(url)}", console=errors) as status:
        yield _Line(plan, processes, status).told


class _Line:
    def __init__(self, plan: Plan, processes: int, status: Status) -> None:
        self._plan, self._each, self._status = plan, " each" if processes > 1 else "", status
        self._errors = 0

    def told(self, progress: Progress) -> None:
        from modelserve.loadtest.buckets import quantile
        from modelserve.loadtest.plans import BEAT

        self._errors += progress.bad
        if progress.seconds < 0:
            self._status.update("warming up")
            return
        p50, p99 = (quantile(progress.good, q, float("inf")) for q in (0.5, 0.99))
        rate = f"{progress.good.sum() / BEAT:,.0f}/s{self._each}"
        times = f"p50 {_ms(p50 and p50 * 1000)}   p99 {_ms(p99 and p99 * 1000)}"
        self._status.update(
            f"{progress.seconds:4.0f} of {self._plan.duration:g} s   {rate}   {times}   errors {self._errors}"
        )


def page(report: Report, before: dict[str, Any] | None = None) -> RenderableType:
    """Everything that a person wants to know of a load test."""
    parts: list[RenderableType] = [
        Text.from_markup(f"[bold]{escape(report.target)}[/]   {_load(report.plan)}"),
        Text(
            f"{report.throughput:,.1f} requests/s   {report.requests:,} requests   "
            f"{report.errors:,} errors ({report.error_rate:.2%})"
        ),
        Text(),
        table(("MILLISECONDS", *FIGURES), _latencies(report, before)),
        Text(),
        *_distribution(report),
    ]
    if report.errors:
        outcomes = ", ".join(f"{count:,} x {name}" for name, count in report.by_outcome.items())
        parts += [Text(), Text(f"outcomes: {outcomes}")]
    parts += [Text.from_markup(f"[yellow]{escape(warning)}[/]") for warning in report.warnings]
    return Group(*parts)


def _load(plan: Plan) -> str:
    if plan.rate is None:
        return f"closed loop, {plan.clients} clients, {plan.duration:g} s"
    return f"open loop, {plan.rate:g}/s {plan.arrivals}, {plan.duration:g} s"


def _latencies(report: Report, before: dict[str, Any] | None) -> list[tuple[str, ...]]:
    waited = report.waited.milliseconds()
    rows = [_row("latency" if report.plan.rate is None else "latency, from due", waited)]
    if report.plan.rate is not None:
        rows.append(_row("from sent", report.served.milliseconds()))
    for revision, figures in report.by_revision.items():
        rows.append(_row(f"{revision} ({figures['requests']:,})", figures["latency_ms"]))
    if before is not None:
        rows.append(_row(f"before ({before['throughput']:,.1f}/s)", before["latency_ms"]))
        changes = [_change(waited[name], before["latency_ms"].get(name)) for name in FIGURES]
        rows.append((f"change ({_change(report.throughput, before['throughput'])})", *changes))
    return rows


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    return name, *(_number(figures.get(figure)) for figure in FIGURES)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if value < 10_000 else f"{value:,.0f}"


def _ms(value: float | None) -> str:
    return f"{_number(value)} ms"


def _change(now: float | None, before: float | None) -> str:
    return "–" if not before or now is None else f"{now / before - 1:+.1%}"


def _distribution(report: Report) -> Iterator[Text]:
    """Bars on a logarithmic scale of time, each with how much lies at or below its end."""
    from modelserve.loadtest.buckets import bound, sparse

    counts = sparse(report.waited.counts)
    if not counts:
        return
    first, last = min(counts), max(counts)
    width = max(1, -(-(last - first + 1) // ROWS))
    bins = [
        (start + width - 1, sum(counts.get(bucket, 0) for bucket in range(start, start + width)))
        for start in range(first, last + 1, width)
    ]
    tallest, total, reached = max(count for _, count in bins), sum(counts.values()), 0
    for end, count in bins:
        reached += count
        bar = "█" * round(count / tallest * BAR) or ("▏" if count else "")
        yield Text(f"{_ms(bound(end) * 1000):>12} {bar:<{BAR}} {reached / total:8.2%} {count:>9,}")
