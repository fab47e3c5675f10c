"""What was measured, as tables and goals that can be printed, kept as JSON and written into the docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One figure of ModelServe's beside its goal; ``most`` says that the goal is an upper bound."""

    what: str
    measured: float
    goal: float
    most: bool = False

    @property
    def met(self) -> bool:
        return self.measured <= self.goal if self.most else self.measured >= self.goal

    def __str__(self) -> str:
        sign, word = "≤" if self.most else "≥", "met" if self.met else "**short**"
        return f"{self.what}: {shown(self.measured)} (goal {sign} {shown(self.goal)}, {word})"


@dataclass
class Result:
    """One case: rows that share their columns, checks, and remarks on how it was measured."""

    case: str
    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
    """Every single measurement."""

    def markdown(self) -> str:
        parts = [f"## {self.title}", f"`{self.case}`", table(self.rows)]
        parts += ["\n".join(f"- {line}" for line in (*map(str, self.checks), *self.remarks))]
        return "\n\n".join(part for part in parts if part) + "\n"

    def as_json(self) -> dict[str, Any]:
        checks = [{**vars(check), "met": check.met} for check in self.checks]
        return {**vars(self), "checks": checks}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal keys as a Markdown table whose columns stand under each other in plain text, too."""
    if not rows:
        return ""
    head = list(rows[0])
    cells = [[shown(row[name]) for name in head] for row in rows]
    widths = [max(len(line[at]) for line in (head, *cells)) for at in range(len(head))]
    texts = [isinstance(rows[0][name], str) for name in head]

    def line(values: Sequence[str]) -> str:
        padded = [
            value.ljust(width) if text else value.rjust(width)
            for value, width, text in zip(values, widths, texts, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if text else "-" * (width - 1) + ":" for width, text in zip(widths, texts, strict=True)
    ]
    return "\n".join(map(line, (head, rule, *cells)))


def shown(value: Any) -> str:
    """Three digits that matter; thousands apart."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
