"""What became of each rollout, as the table at the end of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from examples.demo.story import Chapter


@dataclass(frozen=True)
class Outcome:
    """One rollout as it ended."""

    chapter: Chapter
    rollout: dict[str, Any]
    seconds: float
    """From the change to the decision."""
    requests: int
    """Live requests to the service meanwhile."""
    suffered: int
    """Clients that got a failed, slow or wrong answer from the candidate."""
    failed: int
    """Client requests that failed, whoever answered."""
    harm_rate: float
    """Share of the candidate's answers that were bad in this way."""

    @property
    def ended(self) -> str:
        return "promoted" if self.rollout["phase"] in ("probation", "stable") else self.rollout["phase"]

    @property
    def as_it_should(self) -> bool:
        unseen = self.chapter.harm != "wrong" or self.suffered == 0
        return self.ended == self.chapter.ends and unseen

    @property
    def avoided(self) -> int:
        """Bad answers that half of the traffic, given blindly for as long, would have brought more."""
        return max(0, round(0.5 * self.requests * self.harm_rate) - self.suffered)


def table(outcomes: list[Outcome]) -> Table:
    """One row per rollout."""
    grid = Table(title="What became of each rollout", show_lines=True)
    columns = (
        "rollout", "verdict", "reason", "seconds", "candidate requests",
        "failures clients saw", "bad answers avoided\nagainst a blind 50 %",
    )  # fmt: skip
    for column in columns:
        grid.add_column(column, justify="left" if column in ("rollout", "verdict", "reason") else "right")
    for outcome in outcomes:
        grid.add_row(*_row(outcome))
    return grid


def _row(outcome: Outcome) -> tuple[str, ...]:
    colour = "green" if outcome.as_it_should else "bold red"
    totals = outcome.rollout["totals"]
    return (
        f"{outcome.chapter.package}\n[dim]{outcome.chapter.about}[/]",
        f"[{colour}]{outcome.ended}[/]",
        _clause(outcome.rollout["reason"]),
        f"{outcome.seconds:.0f}",
        str(totals.get("candidate_requests", 0)),
        str(outcome.failed),
        f"{outcome.avoided} {outcome.chapter.harm}" if outcome.chapter.ends == "rolled back" else "–",
    )


def _clause(reason: str) -> str:
    """The first clause that says what was seen; the whole reason stands in the rollout's history."""
    clauses = [clause for clause in reason.split("; ") if not clause.startswith("evidence suffices")]
    return (clauses or [reason])[0].partition(": the evidence")[0]
