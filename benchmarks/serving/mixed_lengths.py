"""Texts of 8 to 256 tokens that come at random times, at 70 % of what each server can do at most.

Beside it the same texts one at a time: how much the slowest suffer from company.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.serving import samples
from benchmarks.serving.lineup import Contender, Effort, Lineup, crowded, in_turn, median, say
from benchmarks.serving.results import Check, Result
from benchmarks.serving.servers import PEERS
from benchmarks.serving.wires import JSON

SAMPLES = 128
BUSY = 32
"""Clients of the closed loop that finds the capacity."""
CONNECTIONS = 256
"""Of the open loop: as many requests can be on their way."""
LOAD = 0.7


@dataclass(frozen=True)
class MixedLengths:
    """``goal``: how many times the p99 of lone requests the p99 under load may be."""

    name: str
    title: str
    model: str
    goal: float
    longer: float = 3.0

    def run(self, effort: Effort) -> Result:
        result = Result(self.name, self.title)
        names = [name for name in ("modelserve", *PEERS) if name in effort.servers]
        with Lineup(self.model, JSON, samples.mixed(SAMPLES)) as lineup:
            lineup.enter(names)
            say(self.title)
            measures: dict[str, Any] = {
                each.name: lambda each=each: self._measure(each, effort.seconds * self.longer)
                for each in lineup.contenders
            }
            self._conclude(in_turn(effort.rounds, measures), result)
        return result

    def _measure(self, contender: Contender, seconds: float) -> dict[str, Any]:
        capacity = contender.load(BUSY, seconds / 3)["rate"]
        alone = contender.load(1, seconds / 2)
        crowd = contender.load(CONNECTIONS, seconds, rate=LOAD * capacity)
        return {**crowd, "capacity": capacity, "alone": alone}

    def _conclude(self, rounds: list[dict[str, dict[str, Any]]], result: Result) -> None:
        result.raw += rounds
        result.remarks += crowded("all", rounds)
        for name in rounds[0]:
            result.rows.append(self._row(name, [each[name] for each in rounds]))
        ours = next((row for row in result.rows if row["server"] == "modelserve"), None)
        if ours is not None:
            what = "times the p99 of lone requests"
            result.checks.append(Check(what, ours[_RATIO], self.goal, most=True))

    def _row(self, name: str, taken: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "server": name,
            "capacity/s": median([each["capacity"] for each in taken]),
            "requests/s": median([each["rate"] for each in taken]),
            "p50 ms": median([each["p50_ms"] for each in taken]),
            "p99 ms": median([each["p99_ms"] for each in taken]),
            "alone p99 ms": median([each["alone"]["p99_ms"] for each in taken]),
            _RATIO: median([each["p99_ms"] / each["alone"]["p99_ms"] for each in taken]),
            "failed": sum(each["failures"] for each in taken),
        }


_RATIO = "p99 / alone"
