"""ModelServe's server and uvicorn's bare echo, each behind the front door: what the server adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.serving import samples
from benchmarks.serving.doors import Door
from benchmarks.serving.lineup import Effort, Lineup, crowded, in_turn, median, say
from benchmarks.serving.results import Check, Result
from benchmarks.serving.servers import SERVERS, Server
from benchmarks.serving.wires import JSON

MODEL = "tiny"
SAMPLES = 32


@dataclass(frozen=True)
class ThroughEnvoy:
    """``share``: of the echo's requests/s that ModelServe is to reach at ``busy`` clients; ``added``: ms at
    the median that it may take longer than the echo for one client alone."""

    name: str
    title: str
    share: float
    added: float
    busy: int = 32

    def run(self, effort: Effort) -> Result:
        result = Result(self.name, self.title)
        with (
            TemporaryDirectory() as folder,
            Lineup(MODEL, JSON, samples.tensors(MODEL, SAMPLES), pausing=False) as lineup,
        ):
            for name in ("modelserve", "echo"):
                say(f"starting {name} and Envoy ...")
                server = SERVERS[name](lineup.start)
                assert isinstance(server, Server)
                lineup.add(server)
                lineup.add(Door(server, Path(folder) / name))
            for clients in (1, self.busy):
                say(f"{self.title}, {clients} clients")
                measures: dict[str, Any] = {
                    each.name: lambda each=each, clients=clients: each.load(clients, effort.seconds)
                    for each in lineup.contenders
                }
                self._conclude(clients, in_turn(effort.rounds, measures), result)
        return result

    def _conclude(self, clients: int, rounds: list[dict[str, dict[str, Any]]], result: Result) -> None:
        result.raw += [{"clients": clients, **taken} for taken in rounds]
        result.remarks += crowded(f"{clients} clients", rounds)
        for name in rounds[0]:
            heads = {"requests/s": "rate", "p50 ms": "p50_ms", "p99 ms": "p99_ms", "CPU µs/request": "cpu_us"}
            figures = {head: median([each[name][key] for each in rounds]) for head, key in heads.items()}
            failed = sum(each[name]["failures"] for each in rounds)
            result.rows.append({"clients": clients, "server": name, **figures, "failed": failed})
        pairs = [(each["modelserve via Envoy"], each["echo via Envoy"]) for each in rounds]
        if clients == 1:
            added = median([ours["p50_ms"] - bare["p50_ms"] for ours, bare in pairs])
            what = "1 client, ms that the median is above the echo's, both via Envoy"
            result.checks.append(Check(what, added, self.added, most=True))
        else:
            share = median([ours["rate"] / bare["rate"] for ours, bare in pairs])
            what = f"{clients} clients, share of the echo's requests/s, both via Envoy"
            result.checks.append(Check(what, share, self.share))
