"""Servers that take turns: all are up, one is awake.

A round measures each of them once, so that a disturbance of the machine hits neighbours alike; ratios are
taken within a round, and their median is what counts. Every second round goes backwards, for whoever comes
after a server that worked hard finds a warmer machine.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.serving.models import package
from benchmarks.serving.servers import SERVERS, Endpoint, Start
from modelserve.domain.inference import Tensors

CROWDED = 0.05
"""Share of the machine that others may take before it is told."""
FEW = 50
"""Answers in one measurement below which it says little."""
Inputs = Sequence[Tensors | bytes]


@dataclass(frozen=True)
class Effort:
    """How often and how long (seconds) each is measured."""

    rounds: int
    seconds: float
    servers: frozenset[str]
    requests: int
    """How many requests a server's memory is watched for."""
    before: Path | None = None
    """Another checkout of ModelServe, whose server takes turns with this one's; None: none does."""


class Contender:
    """A server that is up, and its requests in a file. ``ready`` is how many seconds it took to answer."""

    def __init__(self, server: Endpoint, requests: Path, ready: float, pausing: bool) -> None:
        self.server, self.name, self._requests = server, server.name, requests
        self.ready, self._pausing = ready, pausing

    @contextmanager
    def awake(self) -> Iterator[None]:
        self.server.resume()
        try:
            yield
        finally:
            self.rest()

    def rest(self) -> None:
        if self._pausing:
            self.server.hold()

    def load(self, clients: int, seconds: float, **more: Any) -> dict[str, Any]:
        """One measurement; see :func:`benchmarks.load.load`."""
        place = {"host": "127.0.0.1", "port": self.server.port, "pids": self.server.pids}
        order = {**place, "requests": str(self._requests), "clients": clients, "seconds": seconds, **more}
        with self.awake():
            return load.load(order)


class Lineup:
    """The servers of one model and wire; a context manager that stops them.

    ``pausing``: who is not measured is held still, which proxies with health checks don't survive.
    """

    def __init__(self, model: str, wire: str, inputs: Inputs, pausing: bool = True) -> None:
        self._pausing = pausing
        self.start = Start(package(model), wire)
        self._inputs, self._stack = inputs, ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.contenders: list[Contender] = []

    def __enter__(self) -> Lineup:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def enter(self, names: Sequence[str]) -> None:
        """Start servers by name, ModelServe first: who only pretends answers with as many bytes."""
        for name in names:
            say(f"starting {name} ...")
            self.add(SERVERS[name](self.start))

    def add(self, server: Endpoint) -> Contender:
        """Take in a server that was just started, once it answers."""
        self._stack.callback(server.stop)
        requests = server.requests(self.start.wire, self._inputs)
        answer = server.wait_until_it_answers(requests[0])
        ready = time.perf_counter() - server.begun
        if server.name == "modelserve":
            self.start = replace(self.start, answer=len(answer))
        path = self._folder / f"{server.name}.requests"
        load.write(path, requests)
        self.contenders.append(Contender(server, path, ready, self._pausing))
        self.contenders[-1].rest()
        return self.contenders[-1]


def say(text: str) -> None:
    """Progress, beside the tables."""
    print(text, file=sys.stderr, flush=True)


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def in_turn(
    rounds: int, measures: dict[str, Callable[[], dict[str, Any]]]
) -> list[dict[str, dict[str, Any]]]:
    """``rounds`` times one measurement of each, by name, forwards and backwards in turn."""
    found = []
    for number in range(1, rounds + 1):
        taken = {}
        for name in list(measures)[:: 1 if number % 2 else -1]:
            taken[name] = measures[name]()
            told = f"{taken[name]['rate']:>10,.1f}/s{_warning(taken[name])}"
            say(f"  round {number}/{rounds}  {name:<22} {told}")
        found.append(taken)
    return found


def crowded(where: str, rounds: Sequence[dict[str, dict[str, Any]]]) -> list[str]:
    """Remarks where others used the machine or little was counted, so that nobody trusts such figures."""
    loads = [each for taken in rounds for each in taken.values() if "others" in each]
    found, share = [], median([each["others"] for each in loads]) if loads else 0.0
    if share > CROWDED:
        found.append(f"{where}: other processes took {share:.0%} of the machine meanwhile")
    if any(each["answered"] < FEW for each in loads):
        found.append(f"{where}: some measurements counted fewer than {FEW} answers; give them more --seconds")
    return found


def _warning(taken: dict[str, Any]) -> str:
    parts = []
    if taken.get("failures"):
        parts.append(f"{taken['failures']} failed: {taken['example'][:200]!r}")
    if taken.get("others", 0.0) > CROWDED:
        parts.append(f"others took {taken['others']:.0%} of the machine")
    return f"  ({'; '.join(parts)})" if parts else ""
