"""``make bench``: throughput through the front door at 1, 8 and 32 clients, as a ratio to raw onnxruntime.

Raw is the same ONNX file fed with the same ready-made tensors in a loop, without any server: the best of one
and two threads and of batches of 1, 4 and 8. Served is the Open Inference Protocol's JSON route through
Envoy, with its client, the proxy and the controller on the same cores. Raw and served take turns in every
round, and the ratio is the median over rounds: the machine may be noisy, the ratio is less so.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from modelserve._kit.ports import free_port
from modelserve.domain.inference import Tensors
from modelserve.loadtest import crew, payloads, targets, wire
from modelserve.loadtest.plans import Plan
from modelserve.loadtest.report import Report
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.tasks import task_for

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"bert-ner": ROOT / "models" / "bert-ner-2", "resnet-digits": ROOT / "models" / "resnet-digits-2"}
CLIENTS = (1, 8, 32)
SAMPLES = 64
BATCHES = (1, 4, 8)
WARM_UP = 0.5
"""Seconds of load before counting."""


@dataclass(frozen=True)
class Round:
    """Rows per second of the runtime alone, and what the served loops said, by their number of clients."""

    raw: float
    served: dict[int, Report]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as home:
        platform = _Platform(Path(home))
        try:
            for service, package in PACKAGES.items():
                platform.deploy(service, package)
            for service, package in PACKAGES.items():
                tensors = _samples(package)
                rounds = [
                    Round(
                        _raw(package, tensors, options.seconds),
                        platform.loads(service, tensors, options.seconds),
                    )
                    for _ in range(options.rounds)
                ]
                _print(service, rounds)
        finally:
            platform.run("down")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    return parser.parse_args()


class _Platform:
    """One platform in a temporary home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._environment = os.environ | {"MODELSERVE_HOME": str(home)}
        self._door = self.run("up", "--port", str(free_port()))["door"]

    def run(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "modelserve", *arguments, "--json"]
        done = subprocess.run(command, env=self._environment, check=True, capture_output=True)
        return json.loads(done.stdout)

    def deploy(self, service: str, package: Path) -> None:
        self.run("deploy", service, "--model", str(package))
        while not any(s["name"] == service and s["stable"] for s in self.run("status")["services"]):
            time.sleep(0.2)
        time.sleep(1.0)  # Envoy's health checks admit the server

    def loads(self, service: str, tensors: list[Tensors], seconds: float) -> dict[int, Report]:
        target = targets.of_service(self._door, service, "oip")
        told = [payloads.payload(each, target.protocol) for each in tensors]
        requests = tuple(wire.request("localhost", target.path, each.headers, each.body) for each in told)
        return {clients: _load(target, requests, clients, seconds) for clients in CLIENTS}


def _load(target: targets.Target, requests: tuple[bytes, ...], clients: int, seconds: float) -> Report:
    host, port = target.address
    plan = Plan(host, port, requests, clients=clients, duration=seconds, warm_up=WARM_UP)
    return Report(plan, crew.load(plan), target.url)


def _samples(path: Path) -> list[Tensors]:
    """Rows of the package's reference file as ready-made tensors with a batch axis of 1."""
    package = open_package(path)
    task = task_for(package)
    assert task is not None
    assert package.reference is not None
    rows = [json.loads(line) for line in package.reference.read_text("utf-8").splitlines()[:SAMPLES]]
    return [task.prepare(_item(row))[0] for row in rows]


def _item(row: dict[str, str]) -> str | bytes:
    return row["text"] if "text" in row else base64.b64decode(row["image"])


def _raw(path: Path, tensors: list[Tensors], seconds: float) -> float:
    """Rows per second of the runtime alone, at its best setting."""
    model = runtime_for("onnx").load(open_package(path))
    settings = [(threads, batch) for threads in (1, os.cpu_count() or 1) for batch in BATCHES]
    return max(_raw_rate(model, _batches(tensors, b), t, seconds / len(settings)) for t, b in settings)


def _raw_rate(model: Any, batches: list[Tensors], threads: int, seconds: float) -> float:
    deadline = time.perf_counter() + seconds
    rows = [0] * threads

    def work(index: int) -> None:
        at = index
        while time.perf_counter() < deadline:
            batch = batches[at % len(batches)]
            model.predict(batch)
            rows[index] += len(next(iter(batch.values())))
            at += 1

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rows) / (time.perf_counter() - started)


def _batches(tensors: list[Tensors], size: int) -> list[Tensors]:
    """Neighbours in length together, padded with zeros to the longest of each batch."""
    ordered = sorted(tensors, key=lambda sample: next(iter(sample.values())).shape[1])
    groups = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    return [{name: _stack([sample[name] for sample in group]) for name in group[0]} for group in groups]


def _stack(values: list[Any]) -> Any:
    if values[0].ndim != 2:
        return np.concatenate(values)
    longest = max(value.shape[1] for value in values)
    return np.concatenate([np.pad(value, ((0, 0), (0, longest - value.shape[1]))) for value in values])


def _print(service: str, rounds: list[Round]) -> None:
    raw = statistics.median(r.raw for r in rounds)
    print(
        f"\n{service}: raw onnxruntime {onnxruntime.__version__} {raw:,.0f} rows/s on {os.cpu_count()} cores"
    )
    print(f"{'clients':>8} {'requests/s':>11} {'of raw':>7} {'p50 ms':>8} {'p99 ms':>8} {'failed':>7}")
    for clients in CLIENTS:
        _print_row(clients, rounds)


def _print_row(clients: int, rounds: list[Round]) -> None:
    served = [r.served[clients] for r in rounds]
    rate = statistics.median(report.throughput for report in served)
    ratio = statistics.median(r.served[clients].throughput / r.raw for r in rounds)
    figures = [report.waited.milliseconds() for report in served]
    p50, p99 = (statistics.median(each[name] or 0.0 for each in figures) for name in ("p50", "p99"))
    failed = sum(report.errors for report in served)
    print(f"{clients:>8} {rate:>11,.0f} {ratio:>7.2f} {p50:>8.1f} {p99:>8.1f} {failed:>7}")


if __name__ == "__main__":
    main()
