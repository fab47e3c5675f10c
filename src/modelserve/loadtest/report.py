"""What a load test found, for people, for programs and for limits. Pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelserve.loadtest import buckets
from modelserve.loadtest.plans import Plan
from modelserve.loadtest.tallies import TIMED_OUT, Cell, Outcome, Tally, Times

BUSY = 0.9
"""Share of a core from which a process of the generator may be what limits the load."""


LATE = 0.2
"""Share of the p99 latency that may be the generator's own."""


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one load test.

    Latencies are those of good answers, and of requests that ran out of time with the time that they had
    waited: a server that never answers is not quick. In an open loop they count from the time at which a
    request was due, and ``served`` is what they would be counted from the time at which it was sent.
    """

    plan: Plan
    tally: Tally
    target: str

    def _cells(self, wanted: Iterable[Outcome]) -> list[Cell]:
        return [self.tally.cells[outcome] for outcome in wanted]

    @property
    def _good(self) -> list[Outcome]:
        return [outcome for outcome in self.tally.cells if outcome.good]

    @property
    def requests(self) -> int:
        return sum(cell.count for cell in self.tally.cells.values())

    @property
    def errors(self) -> int:
        return self.requests - sum(cell.count for cell in self._cells(self._good))

    @property
    def error_rate(self) -> float:
        """Share of the requests; 1 where there were none, for a test that asked nothing has not passed."""
        return self.errors / self.requests if self.requests else 1.0

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return sum(cell.within for cell in self._cells(self._good)) / self.plan.duration

    @property
    def waited(self) -> Times:
        return _sum(cell.waited for cell in self._counted())

    @property
    def served(self) -> Times:
        return _sum(cell.served for cell in self._counted())

    def _counted(self) -> list[Cell]:
        lost = [TIMED_OUT] if TIMED_OUT in self.tally.cells else []
        return self._cells([*self._good, *lost])

    @property
    def by_outcome(self) -> dict[str, int]:
        """Counts by status with the error's code: ``{"200": 998, "503 overloaded": 2, "timeout": 1}``."""
        found: dict[str, int] = {}
        for outcome, cell in self.tally.cells.items():
            name = f"{outcome.status or ''} {outcome.code}".strip()
            found[name] = found.get(name, 0) + cell.count
        return {name: count for name, count in sorted(found.items()) if count}

    @property
    def by_revision(self) -> dict[str, dict[str, Any]]:
        """Good answers of each revision that said who it is."""
        found: dict[str, dict[str, Any]] = {}
        for outcome in sorted(self._good, key=lambda each: each.revision):
            cell = self.tally.cells[outcome]
            if outcome.revision and cell.count:
                rate = round(cell.within / self.plan.duration, 3)
                found[outcome.revision] = {"requests": cell.count, "throughput": rate}
                found[outcome.revision]["latency_ms"] = cell.waited.milliseconds()
        return found

    @property
    def warnings(self) -> list[str]:
        """What makes these figures the generator's and not the server's."""
        found = []
        if max(self.tally.busy, default=0.0) > BUSY:
            found.append("a process of the generator used its core up; give it more with --processes")
        late, p99 = self.tally.late.milliseconds()["p99"], self.waited.milliseconds()["p99"]
        if late and p99 and late > LATE * p99:
            found.append(f"the generator itself was {late:.3g} ms late at p99: this machine is too busy")
        if self.tally.queued:
            share = self.tally.queued / max(1, self.requests)
            found.append(
                f"{share:.1%} of the requests found all {self.plan.clients} connections taken and waited; "
                "that time is in the latency; give it more with --clients"
            )
        return found

    def broken_limits(self, max_p99: float | None, max_error_rate: float | None) -> list[str]:
        """One sentence for each limit that does not hold. ``max_p99`` in seconds."""
        found = []
        p99 = self.waited.milliseconds()["p99"]
        if max_p99 is not None and (p99 is None or p99 > max_p99 * 1000):
            told = "nothing was answered" if p99 is None else f"p99 latency is {p99:.3g} ms"
            found.append(f"{told}, the limit is {max_p99 * 1000:.3g} ms")
        if max_error_rate is not None and self.error_rate > max_error_rate:
            found.append(f"error rate is {self.error_rate:.3%}, the limit is {max_error_rate:.3%}")
        return found

    def as_json(self) -> dict[str, Any]:
        """For ``--json`` and ``--output``."""
        open_loop = self.plan.rate is not None
        return {
            "target": self.target,
            "loop": "open" if open_loop else "closed",
            "clients": self.plan.clients,
            "rate": self.plan.rate,
            "duration_s": self.plan.duration,
            "requests": self.requests,
            "throughput": round(self.throughput, 3),
            "errors": self.errors,
            "error_rate": self.error_rate,
            "latency_ms": self.waited.milliseconds(),
            "served_ms": self.served.milliseconds() if open_loop else None,
            "by_outcome": self.by_outcome,
            "by_revision": self.by_revision,
            "generator": self._generator(),
            "warnings": self.warnings,
            "histogram_ms": self._histogram(),
        }

    def _generator(self) -> dict[str, Any]:
        late = self.tally.late.milliseconds()
        busy = [round(share, 3) for share in self.tally.busy]
        return {"processes": len(busy), "busy": busy, "late_p99_ms": late["p99"], "queued": self.tally.queued}

    def _histogram(self) -> list[list[float]]:
        """Upper bounds of the buckets and what is in them."""
        found = buckets.sparse(self.waited.counts)
        return [[round(buckets.bound(bucket) * 1000, 6), count] for bucket, count in found.items()]


def _sum(parts: Iterable[Times]) -> Times:
    total = Times()
    for part in parts:
        part.fold()
        total.merge(part)
    return total
