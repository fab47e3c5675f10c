"""What came of the requests, counted by outcome; sums of processes' tallies are tallies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modelserve.loadtest import buckets
from modelserve.loadtest.buckets import Counts


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. ``status`` is 0 where no answer came, and ``code`` says why."""

    status: int
    revision: str = ""
    code: str = ""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


TIMED_OUT = Outcome(0, code="timeout")
BROKEN = Outcome(0, code="reset")
REFUSED = Outcome(0, code="refused")
NO_HTTP = Outcome(0, code="bad_answer")


class Times:
    """Seconds, gathered in a list and folded into buckets now and then."""

    __slots__ = ("add", "counts", "largest", "pending", "total")

    def __init__(self) -> None:
        self.pending: list[float] = []
        self.add = self.pending.append
        self.counts = buckets.empty()
        self.largest = self.total = 0.0

    def fold(self) -> Counts:
        """Empty the list; the histogram of what was in it."""
        if not self.pending:
            return buckets.empty()
        new = buckets.counted(self.pending)
        self.counts += new
        self.total += sum(self.pending)
        self.largest = max(self.largest, max(self.pending))
        self.pending.clear()
        return new

    def merge(self, other: Times) -> None:
        self.counts += other.counts
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def as_json(self) -> dict[str, Any]:
        self.fold()
        return {"counts": buckets.sparse(self.counts), "total": self.total, "largest": self.largest}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Times:
        times = cls()
        times.counts = buckets.dense(told["counts"])
        times.total, times.largest = told["total"], told["largest"]
        return times

    def milliseconds(self) -> dict[str, float | None]:
        """The figures that are reported, rounded to a microsecond; None where there are no values."""
        count = int(self.counts.sum())
        found: dict[str, float | None] = {"mean": self.total / count if count else None}
        for name, q in QUANTILES.items():
            found[name] = buckets.quantile(self.counts, q, self.largest)
        found["max"] = self.largest if count else None
        return {name: None if value is None else round(value * 1000, 3) for name, value in found.items()}


QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


@dataclass(slots=True)
class Cell:
    """All requests with one outcome that were due while it counted."""

    waited: Times = field(default_factory=Times)
    """From the time at which they were due."""
    served: Times = field(default_factory=Times)
    """From the time at which they were sent."""
    within: int = 0
    """Answers that came while it counted, whenever they were due: what the throughput is made of."""

    @property
    def count(self) -> int:
        return int(self.waited.counts.sum()) + len(self.waited.pending)

    def as_json(self) -> dict[str, Any]:
        return {"waited": self.waited.as_json(), "served": self.served.as_json(), "within": self.within}

    def merge(self, told: dict[str, Any]) -> None:
        self.waited.merge(Times.from_json(told["waited"]))
        self.served.merge(Times.from_json(told["served"]))
        self.within += told["within"]


@dataclass(slots=True)
class Tally:
    """Everything that one process counted, or all of them together."""

    cells: dict[Outcome, Cell] = field(default_factory=dict)
    late: Times = field(default_factory=Times)
    """Open loop: how late requests left for which a connection was free; the generator's own fault."""
    queued: int = 0
    """Open loop: requests for which no connection was free when they were due."""
    busy: list[float] = field(default_factory=list)
    """Of each process, the share of one core that it used."""

    def cell(self, outcome: Outcome) -> Cell:
        return self.cells.setdefault(outcome, Cell())

    def as_json(self) -> dict[str, Any]:
        cells = [
            [outcome.status, outcome.revision, outcome.code, cell.as_json()]
            for outcome, cell in self.cells.items()
        ]
        return {"cells": cells, "late": self.late.as_json(), "queued": self.queued, "busy": self.busy}

    def merge(self, told: dict[str, Any]) -> None:
        """Add what another process counted, as its :meth:`as_json` says it."""
        for status, revision, code, cell in told["cells"]:
            self.cell(Outcome(status, revision, code)).merge(cell)
        self.late.merge(Times.from_json(told["late"]))
        self.queued += told["queued"]
        self.busy += told["busy"]
