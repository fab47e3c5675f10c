"""What ``modelserve rollout simulate`` shows: a bar, a table, and a picture of when it decides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.progress import Progress
from rich.text import Text

from modelserve.cli.output import errors, table
from modelserve.domain.services import RolloutSpec

if TYPE_CHECKING:
    from modelserve.rehearsal.simulation import Spread, Summary

WIDTH = 60
_BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = (
    "REGRESSION", "ROLLED BACK", "PROMOTED", "UNDECIDED", "EXTRA FAILURES", "CANDIDATE REQUESTS",
    "SECONDS TO ROLL BACK", "TO 50 %", "TO PROMOTE",
)  # fmt: skip


@contextlib.contextmanager
def progress(runs: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal."""
    if not errors.is_terminal:
        yield lambda _: None
        return
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("rollouts", total=runs)
        yield lambda done: bar.advance(task, done)


def page(summaries: Sequence[Summary]) -> RenderableType:
    """The table (pairs are the median and the 90th percentile), and when the runs are decided."""
    scene, runs = summaries[0].scene, len(summaries[0].outcomes)
    head = (
        f"{scene.rate:g} requests/s, {scene.baseline * 100:g} % of stable's answers fail; "
        f"{runs:,} rollouts of each; chances with their 95 % limits, pairs are median and 90th percentile"
    )
    return Group(
        Text(head), Text(), table(COLUMNS, [_row(s) for s in summaries]), Text(), *_picture(summaries)
    )


def as_json(spec: RolloutSpec, summaries: Sequence[Summary]) -> dict[str, Any]:
    scene = summaries[0].scene
    return {
        "traffic": scene.rate,
        "baseline": scene.baseline,
        "rules": spec.model_dump(mode="json", by_alias=True),
        "regressions": [summary.as_json() for summary in summaries],
    }


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        summary.scene.regression.text,
        _chance(summary, "rolled back"),
        _chance(summary, "promoted"),
        f"{summary.share('held', 'undecided'):.1%}",
        _pair(summary.extra_failures, ",.1f"),
        _pair(summary.candidate_requests),
        _pair(summary.to_roll_back),
        _pair(summary.half),
        _pair(summary.to_promote),
    )


def _chance(summary: Summary, end: str) -> str:
    low, high = summary.bounds(end)
    return f"{summary.share(end):.1%} ({low:.1%}–{high:.1%})"


def _pair(spread: Spread, form: str = ",.0f") -> str:
    if spread.p50 is None or spread.p90 is None:
        return "–"
    return f"{spread.p50 + 0.0:{form}} / {spread.p90 + 0.0:{form}}"


def _picture(summaries: Sequence[Summary]) -> Iterator[Text]:
    """A line for each way to end: the share of runs that have ended so, from left to right in time."""
    last = max(outcome.seconds for summary in summaries for outcome in summary.outcomes)
    name = max(len(summary.scene.regression.text) for summary in summaries)
    yield Text(f"{'':{name}}  {'share decided':11} 0 s{f'{last:,.0f} s':>{WIDTH - 3}}")
    for summary in summaries:
        for end, colour in (("rolled back", "red"), ("promoted", "green")):
            ends = [outcome.seconds for outcome in summary.ended(end)]
            if ends:
                line = Text(f"{summary.scene.regression.text:{name}}  {end:13} ")
                line.append(_climb(ends, last, len(summary.outcomes)), style=colour)
                yield line


def _climb(seconds: Sequence[float], last: float, runs: int) -> str:
    """One letter for each part of the time: how many of all runs had ended by its end."""
    moments = (last * (column + 1) / WIDTH for column in range(WIDTH))
    shares = (sum(at <= moment for at in seconds) / runs for moment in moments)
    return "".join(_BARS[round(share * (len(_BARS) - 1))] for share in shares)
