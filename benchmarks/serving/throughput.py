"""Closed loops: requests per second as a share of onnxruntime's alone, or of uvicorn's bare echo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.serving import samples
from benchmarks.serving.lineup import Effort, Lineup, crowded, in_turn, median, say
from benchmarks.serving.raw import Raw
from benchmarks.serving.results import Check, Result
from benchmarks.serving.servers import BEFORE, PEERS, modelserve
from benchmarks.serving.wires import JPEG

SAMPLES = 32
IMAGES = 8
RAW = "onnxruntime"
UNBATCHED = "fastapi-unbatched"
AS_BEFORE = 0.98
"""Share of another checkout's rate from which a change costs nothing that could be told from chance."""


@dataclass(frozen=True)
class Throughput:
    """``goals``: by number of clients, the share that ModelServe is to reach; with one client, of a server
    that does not batch."""

    name: str
    title: str
    model: str
    wire: str
    goals: dict[int, float]
    against: str = RAW
    longer: float = 1.0
    """How many times longer than others it is measured, where a batch takes long."""

    def run(self, effort: Effort) -> Result:
        result = Result(self.name, self.title)
        effort = replace(effort, seconds=effort.seconds * self.longer)
        names = [name for name in ("modelserve", *PEERS) if name in effort.servers]
        with Lineup(self.model, self.wire, self._inputs()) as lineup:
            lineup.enter(names if self.against == RAW else [*names, self.against])
            if effort.before is not None:
                lineup.add(modelserve(lineup.start, BEFORE, effort.before))
            for clients in self.goals:
                self._measure(lineup, clients, effort, result)
        return result

    def _inputs(self) -> Any:
        if self.wire == JPEG:
            return samples.images(IMAGES)
        return samples.tensors(self.model, IMAGES if "resnet" in self.model else SAMPLES)

    def _measure(self, lineup: Lineup, clients: int, effort: Effort, result: Result) -> None:
        say(f"{self.title}, {clients} clients")
        measures: dict[str, Any] = {
            each.name: lambda each=each: each.load(clients, effort.seconds) for each in lineup.contenders
        }
        if self.against != RAW:
            return self._conclude(clients, in_turn(effort.rounds, measures), result)
        raw = Raw(lineup.start.model, self.wire)
        try:
            best = raw.scan(clients, effort.seconds / 3)
            result.remarks.append(f"onnxruntime alone, {clients} clients: best was {best}")
            measures = {RAW: lambda: raw.measure(best, effort.seconds)} | measures
            self._conclude(clients, in_turn(effort.rounds, measures), result)
        finally:
            raw.close()

    def _conclude(self, clients: int, rounds: list[dict[str, dict[str, Any]]], result: Result) -> None:
        rows = {name: self._row(clients, name, rounds) for name in rounds[0]}
        result.rows += rows.values()
        result.raw += [{"clients": clients, **taken} for taken in rounds]
        result.remarks += crowded(f"{clients} clients", rounds)
        share = f"of {self.against}"
        if BEFORE in rows:
            ratio = median([each["modelserve"]["rate"] / each[BEFORE]["rate"] for each in rounds])
            result.checks.append(Check(f"{clients} clients, beside the other checkout", ratio, AS_BEFORE))
        if "modelserve" in rows:
            ours, goal = rows["modelserve"][share], self.goals[clients]
            if clients > 1:
                result.checks.append(Check(f"{clients} clients, share {share}", ours, goal))
            elif UNBATCHED in rows:
                told = f"1 client, beside a server that does not batch ({UNBATCHED})"
                result.checks.append(Check(told, ours / rows[UNBATCHED][share], goal))
                return
            if peers := {name: row[share] for name, row in rows.items() if name in PEERS}:
                best = max(peers, key=lambda name: peers[name])
                told = f"{clients} clients, beside the best peer ({best})"
                result.checks.append(Check(told, ours / peers[best], 1.0))

    def _row(self, clients: int, name: str, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
        taken = [each[name] for each in rounds]
        ratios = [each[name]["rate"] / each[self.against]["rate"] for each in rounds]
        return {
            "clients": clients,
            "server": name,
            "requests/s": median([each["rate"] for each in taken]),
            f"of {self.against}": median(ratios),
            "by CPU": median([each[self.against]["cpu_us"] / each[name]["cpu_us"] for each in rounds]),
            **{head: _middle(taken, key) for head, key in _FIGURES.items()},
            "failed": sum(each.get("failures", 0) for each in taken),
        }


_FIGURES = {"p50 ms": "p50_ms", "p99 ms": "p99_ms", "CPU µs/request": "cpu_us"}


def _middle(taken: list[dict[str, Any]], key: str) -> float | None:
    return median([each[key] for each in taken]) if key in taken[0] else None
