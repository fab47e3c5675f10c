"""What a server takes beside the engine: memory, time to be ready, and whether its memory stays flat."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving import samples
from benchmarks.serving.lineup import Effort, Lineup, median, say
from benchmarks.serving.results import Check, Result
from benchmarks.serving.servers import PEERS, PROGRAMS
from benchmarks.serving.wires import JSON

MODEL = "tiny"
SAMPLES = 32
CLIENTS = 32
MB = 1e6


def resident(pids: Sequence[int]) -> float:
    """MB of process trees; a page that several processes share counts for each of them."""
    return _sum(pids, lambda process: process.memory_info().rss)


def proportional(pids: Sequence[int]) -> float:
    """MB of process trees; a page that several processes share is divided among them."""
    return _sum(pids, lambda process: process.memory_full_info().pss)


def _sum(pids: Sequence[int], bytes_of: Any) -> float:
    roots = [psutil.Process(pid) for pid in pids]
    return sum(bytes_of(each) for root in roots for each in (root, *root.children(recursive=True))) / MB


@dataclass(frozen=True)
class Footprint:
    """``above``: MB above a bare process; ``ready``: seconds from start to the first answer."""

    name: str
    title: str
    above: float
    ready: float

    def run(self, effort: Effort) -> Result:
        result = Result(self.name, self.title)
        names = ["modelserve", *(name for name in PEERS if name in effort.servers)]
        result.raw += [self._round(names, effort) for _ in range(effort.rounds)]
        for name in result.raw[0]:
            figures = [taken[name] for taken in result.raw]
            row = {key: median([each[key] for each in figures]) for key in figures[0]}
            result.rows.append({"server": name, **row})
        ours = next(row for row in result.rows if row["server"] == "modelserve")
        start = "seconds from start to the first answer, without the model's own load"
        result.checks += [
            Check("MB resident above onnxruntime's own", ours[_ABOVE], self.above, most=True),
            Check(start, ours[_READY], self.ready, most=True),
        ]
        result.remarks.append(
            f"memory after load by {CLIENTS} clients; resident counts a page that processes share in each of "
            "them, proportional divides it"
        )
        return result

    def _round(self, names: Sequence[str], effort: Effort) -> dict[str, dict[str, float]]:
        with Lineup(MODEL, JSON, samples.tensors(MODEL, SAMPLES)) as lineup:
            load, bare = _bare(lineup.start.model)
            found = {"python + onnxruntime": {**bare, _ABOVE: 0.0}}
            for name in names:
                lineup.enter([name])
                contender = lineup.contenders[-1]
                contender.load(CLIENTS, effort.seconds)
                memory = _memory(contender.server.pids)
                found[name] = {_READY: contender.ready - load, **memory, _ABOVE: memory[_RSS] - bare[_RSS]}
                say(f"  {name:<22} {memory[_RSS]:,.0f} MB, ready after {contender.ready:.2f} s")
            return found


_READY, _RSS, _PSS, _ABOVE = "ready s", "resident MB", "proportional MB", "above MB"


def _memory(pids: Sequence[int]) -> dict[str, float]:
    return {_RSS: resident(pids), _PSS: proportional(pids)}


def _bare(model: Path) -> tuple[float, dict[str, float]]:
    """Seconds in which a bare process loads the model; its memory, and the seconds until its first run less
    those."""
    begun, environment = time.perf_counter(), os.environ | {"BENCH_MODEL": str(model)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, str(PROGRAMS / "bare.py")]
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdout is not None
        load = float(process.stdout.readline())
        ready = time.perf_counter() - begun - load
        return load, {_READY: ready, **_memory([process.pid])}


@dataclass(frozen=True)
class FlatMemory:
    """``growth``: MB by which memory may grow from a tenth of the requests to the last."""

    name: str
    title: str
    growth: float

    def run(self, effort: Effort) -> Result:
        result = Result(self.name, self.title)
        with Lineup(MODEL, JSON, samples.tensors(MODEL, SAMPLES)) as lineup:
            lineup.enter(["modelserve"])
            contender, asked = lineup.contenders[0], 0
            while asked < effort.requests:
                taken = contender.load(CLIENTS, effort.seconds)
                asked += taken["answered"]
                result.raw.append({"asked": asked, "resident": resident(contender.server.pids), **taken})
                say(f"  {asked:>12,} requests  {result.raw[-1]['resident']:,.1f} MB")
        result.rows += [_sample(each) for each in _spread(result.raw, 12)]
        result.checks.append(
            Check("MB grown after the first tenth", self._grown(result.raw), self.growth, most=True)
        )
        return result

    def _grown(self, raw: list[dict[str, Any]]) -> float:
        early = next(each for each in raw if each["asked"] >= raw[-1]["asked"] / 10)
        return float(raw[-1]["resident"] - early["resident"])


def _sample(each: dict[str, Any]) -> dict[str, Any]:
    return {"requests": f"{each['asked']:,}", "resident MB": each["resident"], "failed": each["failures"]}


def _spread(values: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """At most ``count`` of them, the first and the last included."""
    if len(values) <= count:
        return values
    return [values[round(at * (len(values) - 1) / (count - 1))] for at in range(count)]
