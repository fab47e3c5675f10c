"""A load generator over HTTP/1.1 that costs little, in a process of its own (``python -m benchmarks.load``).

*Closed loop*: so many connections, each of which asks again when it has its answer. *Open loop*: requests
leave at random times at a given rate (a Poisson process) whether or not earlier ones were answered, each over
a connection that is free; latency counts from the time at which a request was due.

The order comes as JSON on stdin, the result goes to stdout as JSON. Requests are rendered before, one file
of them with their lengths; nothing is made while it is counted. The processor time that the servers take is
read at both ends of the counted window.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import struct
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import psutil
import uvloop

WARM_UP = 0.5
"""Seconds of load before counting."""
PATIENCE = 60.0
"""Seconds in which the last answers of an open loop must be there."""
_LENGTH = struct.Struct("<I")
_END = b"\r\n\r\n"
_clock = time.perf_counter
_NEVER = float("inf")


class Connection(asyncio.Protocol):
    """One client: sends one request at a time and finds the end of its answer by content-length."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.WriteTransport
        self._since = 0.0
        self._parts: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, request: bytes, since: float) -> None:
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing:  # an answer's body goes on
            self._missing -= len(data)
        else:
            if self._parts:
                data = b"".join((*self._parts, data))
            end = data.find(_END)
            if end < 0:
                self._parts = [data]
                return
            self._parts = []
            self._missing = end + 4 + _content_length(data, end) - len(data)
            if data[9:12] != b"200":
                self._run.failed(data)
        if not self._missing:
            self._run.answered(self, self._since)

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost()

    def close(self) -> None:
        self._transport.abort()


def _content_length(data: bytes, end: int) -> int:
    at = data.find(b"ontent-length: ", 0, end)
    if at < 0:
        at = data[:end].lower().index(b"ontent-length: ")  # some servers write it in capitals
    at += 15
    return int(data[at : data.index(b"\r", at, end + 1)])


class Run:
    """A closed loop, and what is counted of it: whoever is answered asks again.

    The counted window begins and ends with an answer, the first not counted and the last counted: where
    answers come in batches, a window between two points in time would count up to one batch too many.
    """

    def __init__(self, requests: Iterable[bytes]) -> None:
        self.requests = itertools.cycle(requests)
        self.latencies = array("d")
        self.failures = 0
        self.example = b""
        self.begin = self.end = _NEVER
        self.closing = False
        self._edge: asyncio.Future[float] | None = None

    def start(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.send(next(self.requests), _clock())

    def answered(self, connection: Connection, since: float) -> None:
        now = _clock()
        if self.begin < now <= self.end:
            self.latencies.append(now - since)
        if self._edge is not None:
            self._reach(now)
        if not self.closing:
            connection.send(next(self.requests), now)

    def _reach(self, now: float) -> None:
        if self.begin == _NEVER:
            self.begin = now
        else:
            self.end = now
        if self._edge is not None and not self._edge.done():
            self._edge.set_result(now)
        self._edge = None

    async def edge(self) -> float:
        """The time of the next answer, at which the window begins or ends."""
        self._edge = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(self._edge, PATIENCE)
        except TimeoutError:
            self._reach(_clock())
            return _clock()

    def failed(self, answer: bytes) -> None:
        self.failures += self.begin < _clock() <= self.end
        self.example = self.example or answer[:400]

    def lost(self) -> None:
        if not self.closing:
            self.failed(b"the connection was closed")

    async def finish(self) -> None:
        """The answers that come after the counted window count for nothing."""


class OpenRun(Run):
    """An open loop of ``rate`` requests a second. A request counts if it was due in the window."""

    def __init__(self, requests: Iterable[bytes], rate: float) -> None:
        super().__init__(requests)
        self._rate, self._random = rate, random.Random(0)
        self._free: list[Connection] = []
        self._due: deque[float] = deque()
        self._open = 0

    def start(self, connections: list[Connection]) -> None:
        self._free = connections[:]
        self._coming = asyncio.create_task(self._come())

    async def _come(self) -> None:
        due = _clock()
        while not self.closing:
            due += self._random.expovariate(self._rate)
            await asyncio.sleep(max(0.0, due - _clock()))
            self._due.append(due)
            self._open += 1
            self._send()

    async def edge(self) -> float:
        """Now: requests count by when they were due."""
        self._reach(_clock())
        return _clock()

    def _send(self) -> None:
        while self._free and self._due:
            self._free.pop().send(next(self.requests), self._due.popleft())

    def answered(self, connection: Connection, since: float) -> None:
        if self.begin < since <= self.end:
            self.latencies.append(_clock() - since)
        self._open -= 1
        self._free.append(connection)
        self._send()

    async def finish(self) -> None:
        """Wait for the answers to all that was sent; those that do not come count as failures."""
        self.closing = True
        await self._coming
        until = _clock() + PATIENCE
        while self._open and _clock() < until:  # noqa: ASYNC110 - nobody is measured any more
            await asyncio.sleep(0.01)
        self.failures += self._open


class Meter:
    """Processor time, in seconds, of process trees and of the whole machine, since it was made."""

    def __init__(self, pids: Sequence[int]) -> None:
        roots = [psutil.Process(pid) for pid in pids]
        self._tree = [each for root in roots for each in (root, *root.children(recursive=True))]
        self._begin, self._tree_begin, self._own = _clock(), self._spent(), time.process_time()
        self._machine = _busy()

    def _spent(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._tree)

    def read(self) -> dict[str, float]:
        """``others`` is the share of the machine that neither these trees nor this process took."""
        seconds, servers = _clock() - self._begin, self._spent() - self._tree_begin
        client = time.process_time() - self._own
        rest = _busy() - self._machine - servers - client
        return {
            "cpu": servers,
            "client": client,
            "others": max(0.0, rest) / seconds / (psutil.cpu_count() or 1),
        }


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0))


async def drive(order: dict[str, Any]) -> dict[str, Any]:
    """Requests/s, latencies in ms, failures, and processor time per request in µs of one run."""
    requests, rate = list(read(Path(order["requests"]))), order.get("rate")
    run = OpenRun(requests, rate) if rate else Run(requests)
    loop = asyncio.get_running_loop()
    place = order["host"], order["port"]
    pairs = [await loop.create_connection(lambda: Connection(run), *place) for _ in range(order["clients"])]
    connections = [connection for _, connection in pairs]
    run.start(connections)
    await asyncio.sleep(order.get("warm_up", WARM_UP))
    begin = await run.edge()
    meter = Meter(order.get("pids", ()))
    await asyncio.sleep(order["seconds"])
    end = await run.edge()
    usage = meter.read() | {"seconds": end - begin}
    await run.finish()
    run.closing = True
    for connection in connections:
        connection.close()
    return _summary(run, usage)


def _summary(run: Run, usage: dict[str, float]) -> dict[str, Any]:
    ordered = sorted(run.latencies)
    answered = len(ordered)
    return {
        "rate": answered / usage["seconds"],
        "p50_ms": 1000 * _percentile(ordered, 0.50),
        "p99_ms": 1000 * _percentile(ordered, 0.99),
        "answered": answered,
        "cpu_us": 1e6 * usage["cpu"] / max(1, answered),
        "client_us": 1e6 * usage["client"] / max(1, answered),
        "others": usage["others"],
        "failures": run.failures,
        "example": run.example.decode("latin-1"),
    }


def _percentile(ordered: list[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def request(path: str, body: bytes, media: str = "application/json", **headers: Any) -> bytes:
    """The bytes of one POST; underscores in the names of ``headers`` stand for hyphens."""
    given = {"host": "localhost", "content_type": media, "content_length": len(body), **headers}
    lines = (f"{name.replace('_', '-')}: {value}" for name, value in given.items())
    return "\r\n".join((f"POST {path} HTTP/1.1", *lines, "", "")).encode() + body


def write(path: Path, requests: Iterable[bytes]) -> None:
    """Lay rendered requests down for a run."""
    with path.open("wb") as file:
        for each in requests:
            file.write(_LENGTH.pack(len(each)) + each)


def read(path: Path) -> Iterator[bytes]:
    """The requests of such a file."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = _LENGTH.unpack_from(content, at)
        yield content[at + 4 : at + 4 + length]
        at += 4 + length


def load(order: dict[str, Any]) -> dict[str, Any]:
    """Run one order in a process of its own; what came of it.

    ``requests`` (a file), ``host``, ``port``, ``clients``, ``seconds``; optional are ``rate`` (of an open
    loop), ``pids`` (roots of the servers' process trees) and ``warm_up`` (seconds).
    """
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(order), text=True, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(drive(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
