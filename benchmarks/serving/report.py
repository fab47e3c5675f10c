"""The results of a run as text, JSON and the page in the docs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import modelserve
from benchmarks.serving.lineup import Effort
from benchmarks.serving.models import ROOT
from benchmarks.serving.results import Result
from benchmarks.serving.venvs import REQUIREMENTS

PAGE = ROOT / "docs" / "benchmarks" / "serving.md"
_LIBRARIES = ("onnxruntime", "uvicorn", "uvloop", "httptools", "numpy", "orjson")
_PEERS = {"fastapi": "fastapi", "mosec": "mosec", "litserve": "litserve"}
_INTRODUCTION = """\
# The model server beside others

Written by `python -m benchmarks.serving --write-docs`; `make bench-serving` prints the same tables. All
servers run the same ONNX file on the same machine, each in its own virtual environment with the same
onnxruntime, and are asked by the same load generator, which shares the machine with them. They take turns
in every round, in every second one backwards, the others held still meanwhile; a ratio is the median over
rounds of ratios within a round. CPU per request is that of the server's whole process tree, and "by CPU"
compares it with the reference's as requests/s are compared: it changes little where others use the machine.

`onnxruntime` is the engine alone, fed with ready tensors in a loop: the best of runs side by side and
threads within a run, and of batch sizes, among those that so many waiting clients could keep busy. For JPEG
it also decodes and resizes. `echo` is uvicorn with uvloop and httptools that reads a body and answers with
as many bytes as ModelServe does. `fastapi` is hand-written and tuned: raw bodies, orjson, uvloop,
httptools, one engine thread a run, one run a core, a batcher that never waits; `fastapi-unbatched` is the
same without the batcher. `mosec` and `litserve` run one process a core, batches of at most 8 and their
shortest wait (1 ms), LitServe with its fast queue. Binary is the Open Inference Protocol's extension for
ModelServe, tensors as bytes behind a short head for the others, and a multipart form for LitServe, which
takes no raw body. Triton and KServe are missing: they could not be had where this was written.
"""


def summary(results: Sequence[Result]) -> str:
    """How many goals are met, and which are not."""
    checks = [(result.case, check) for result in results for check in result.checks]
    short = [f"- {case}: {check}" for case, check in checks if not check.met]
    return "\n".join([f"{len(checks) - len(short)} of {len(checks)} goals met", *short])


def as_json(results: Sequence[Result], effort: Effort) -> dict[str, Any]:
    about = {"rounds": effort.rounds, "seconds": effort.seconds}
    return {"machine": machine(), "effort": about, "results": [result.as_json() for result in results]}


def machine() -> dict[str, str]:
    """Date, processor and versions."""
    here = {name: version(name) for name in _LIBRARIES}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "modelserve": modelserve.__version__,
        **here,
        **{name: _pinned(file, name) for name, file in _PEERS.items()},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _pinned(file: str, name: str) -> str:
    lines = (REQUIREMENTS / f"{file}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{name}=="))


def write_docs(results: Sequence[Result], effort: Effort) -> None:
    """Write the page. It tells what this run measured, and nothing of earlier ones."""
    told = "\n".join(f"- {name}: {value}" for name, value in machine().items())
    how = f"{effort.rounds} rounds of {effort.seconds:g} s each.\n"
    parts = [
        _INTRODUCTION,
        told + "\n",
        how,
        *(result.markdown() for result in results),
        summary(results) + "\n",
    ]
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text("\n".join(parts))
