"""onnxruntime alone, in a process of its own: what a server could reach at most.

One session is shared by as many threads as runs go on at the same time; each run may have several threads of
the engine. Orders come as JSON lines on stdin, what was reached goes to stdout, so that it can take turns
with the servers. With ``jpeg`` each row is decoded, resized and normalised first, as every server must.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving import samples
from benchmarks.serving.models import ROOT
from benchmarks.serving.programs import rows
from benchmarks.serving.wires import JPEG

CORES = os.cpu_count() or 1
BATCHES = (1, 4, 8)
SAMPLES = 16


@dataclass(frozen=True)
class Setting:
    """``runs`` at the same time, each with ``threads`` of the engine on ``batch`` rows."""

    runs: int
    threads: int
    batch: int

    def __str__(self) -> str:
        return f"{self.runs} x {self.threads} thread{'s' * (self.threads > 1)}, batch {self.batch}"


def settings(clients: int) -> list[Setting]:
    """All that so many clients, who wait for their answers, could keep busy."""
    shapes = {(min(CORES, clients), 1), (1, CORES)}
    batches = [batch for batch in BATCHES if batch <= clients]
    found = [Setting(*shape, batch) for shape in sorted(shapes) for batch in batches]
    return [each for each in found if each.runs * each.batch <= clients]


class Raw:
    """The process, seen from outside."""

    def __init__(self, model: Path, wire: str) -> None:
        environment = os.environ | {"BENCH_MODEL": str(model), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        command = [sys.executable, "-m", "benchmarks.serving.raw", wire]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, **pipes)
        self.best: Setting | None = None

    def scan(self, clients: int, seconds: float) -> Setting:
        """Find the best setting, once; later measurements use it."""
        self.best = max(settings(clients), key=lambda setting: self.measure(setting, seconds)["rate"])
        return self.best

    def measure(self, setting: Setting, seconds: float) -> dict[str, float]:
        """Rows per second and processor time per row in µs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"seconds": seconds, **asdict(setting)}) + "\n")
        self._process.stdin.flush()
        result: dict[str, float] = json.loads(self._process.stdout.readline())
        return result

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(work: Callable[[int], int], runs: int, seconds: float) -> dict[str, float]:
    """What ``runs`` threads reach; ``work`` does one piece and gives its rows."""
    rates, counts, begin, spent = [0.0] * runs, [0] * runs, time.perf_counter(), time.process_time()

    def repeat(index: int) -> None:
        at = index
        while time.perf_counter() < begin + seconds:
            counts[index] += work(at)
            at += 1
        rates[index] = counts[index] / (time.perf_counter() - begin)

    threads = [threading.Thread(target=repeat, args=(index,)) for index in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"rate": sum(rates), "cpu_us": 1e6 * (time.process_time() - spent) / sum(counts)}


class _Work:
    """Sessions by threads, made when first asked for, and the inputs in batches."""

    def __init__(self, wire: str) -> None:
        model = Path(rows.MODEL).parent.name
        self._wire, self._sessions = wire, dict[int, Any]()
        self._inputs: Sequence[Any] = (
            samples.images(SAMPLES) if wire == JPEG else samples.tensors(model, SAMPLES)
        )

    def piece(self, setting: Setting) -> Callable[[int], int]:
        if setting.threads not in self._sessions:
            self._sessions[setting.threads] = rows.session(setting.threads)
        session, size = self._sessions[setting.threads], setting.batch
        groups = [self._inputs[at : at + size] for at in range(0, SAMPLES, size)]
        if self._wire != JPEG:
            batches = [rows.joined(list(group)) for group in groups]
            return lambda at: session.run(None, batches[at % len(batches)]) and size
        return lambda at: session.run(None, _decoded(groups[at % len(groups)])) and size


def _decoded(images: Sequence[bytes]) -> dict[str, Any]:
    return rows.joined([rows.from_jpeg(image) for image in images])


def main() -> None:
    work = _Work(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        seconds, setting = order.pop("seconds"), Setting(**order)
        piece = work.piece(setting)
        piece(0)
        print(json.dumps(measure(piece, setting.runs, seconds)), flush=True)


if __name__ == "__main__":
    main()
