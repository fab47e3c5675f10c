"""The tables: as text, as JSON and as the page docs/benchmarks/judge.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judge.cases import Case
from benchmarks.judge.goals import Result
from benchmarks.judge.runs import JUDGE
from modelserve.rehearsal.drive import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "judge.md"
HEADS = ("promoted", "rolled back", "seconds", "p90", "extra failures", "p90", "candidate requests", "runs")


@dataclass(frozen=True)
class Row:
    """How the rollouts of one case ended, as one tool decided them. Shares in 0..1."""

    case: str
    who: str
    runs: int
    promoted: float
    rolled_back: float
    seconds: tuple[float, float]
    """Median and 90th percentile until the end."""
    extra_failures: tuple[float, float]
    candidate_requests: float

    @classmethod
    def of(cls, case: str, who: str, outcomes: Sequence[Outcome]) -> Row:
        def share(end: str) -> float:
            return sum(outcome.end == end for outcome in outcomes) / len(outcomes)

        def middle(values: Iterable[float]) -> tuple[float, float]:
            low, high = np.quantile(list(values), [0.5, 0.9])
            return float(low), float(high)

        return cls(
            case,
            who,
            len(outcomes),
            share("promoted"),
            share("rolled back"),
            middle(outcome.seconds for outcome in outcomes),
            middle(outcome.extra_failures for outcome in outcomes),
            middle(outcome.candidate_requests for outcome in outcomes)[0],
        )

    @property
    def cells(self) -> list[str]:
        pairs = [f"{value:,.0f}" for pair in (self.seconds, self.extra_failures) for value in pair]
        requests = f"{self.candidate_requests:,.0f}"
        return [f"{self.promoted:.1%}", f"{self.rolled_back:.1%}", *pairs, requests, f"{self.runs:,}"]


@dataclass(frozen=True)
class Report:
    rows: list[Row]
    goals: list[tuple[str, Result]]
    """(case, result)."""
    seed: int
    seconds: float

    @classmethod
    def of(
        cls,
        chosen: Sequence[Case],
        found: dict[tuple[str, str], list[Outcome]],
        more: Sequence[tuple[str, Result]],
        seed: int,
        seconds: float,
    ) -> Report:
        order = [case.name for case in chosen]
        ends = sorted(found.items(), key=lambda item: order.index(item[0][0]))
        rows = [Row.of(case, who, outcomes) for (case, who), outcomes in ends]
        ran = [case for case in chosen if (case.name, JUDGE) in found]
        goals = [(case.name, goal.on(found[case.name, JUDGE])) for case in ran for goal in case.goals]
        return cls(rows, sorted([*goals, *more], key=_number), seed, seconds)

    @property
    def short(self) -> list[tuple[str, Result]]:
        return [(case, result) for case, result in self.goals if result.status == "short"]

    def text(self) -> str:
        """Everything, for a terminal and for the page alike."""
        others = {row.case for row in self.rows if row.who != JUDGE}
        parts = [
            ("Goals", _table(("goal", "case", "figure", "status"), self._goals())),
            (
                "Every case",
                _table(("case", *HEADS), ((r.case, *r.cells) for r in self.rows if r.who == JUDGE)),
            ),
            ("Beside others", _table(("case", "by", *HEADS), self._beside(others))),
        ]
        tables = "\n\n".join(f"## {title}\n\n{table}" for title, table in parts if table)
        return f"{tables}\n\n{self.verdict()}\n"

    def verdict(self) -> str:
        if not self.short:
            return f"All {len(self.goals)} goals are reached."
        lines = [f"- {result.goal}: {case}: {result.figure}" for case, result in self.short]
        return f"{len(self.short)} of {len(self.goals)} goals fall short:\n\n" + "\n".join(lines)

    def document(self) -> dict[str, Any]:
        goals = [{"case": case, **asdict(result)} for case, result in self.goals]
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "goals": goals,
            "rows": [asdict(r) for r in self.rows],
        }

    def write_page(self) -> None:
        before = PAGE.read_text().partition("<!-- measured -->")[0]
        PAGE.write_text(f"{before}<!-- measured -->\n\n{_machine(self)}\n\n{self.text()}")

    def _goals(self) -> Iterable[tuple[str, ...]]:
        for case, result in self.goals:
            status = f"**{result.status}**" if result.status == "short" else result.status
            yield result.goal, case, result.figure, status

    def _beside(self, cases: set[str]) -> Iterable[tuple[str, ...]]:
        return ((row.case, row.who, *row.cells) for row in self.rows if row.case in cases)


def _number(named: tuple[str, Result]) -> int:
    return int(named[1].goal.partition(".")[0])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with its columns lined up; empty without rows."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    if len(lines) == 1:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([text[0], "| " + " | ".join("-" * width for width in widths) + " |", *text[1:]])


def _machine(report: Report) -> str:
    return (
        f"Measured on {date.today().isoformat()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}; first seed {report.seed}; "
        f"{report.seconds:,.0f} s in all."
    )
