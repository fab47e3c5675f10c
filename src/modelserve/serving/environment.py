"""Environment variables that libraries read when they are imported."""

from __future__ import annotations

import os

from modelserve._kit.quiet import silence

ONE_THREAD_EACH = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""The server's own workers are the parallelism."""

QUIET = {"GRPC_VERBOSITY": "NONE"}
"""gRPC's core would write lines of its own between the server's JSON ones; what matters comes as errors."""


def prepare() -> None:
    """To be called before anything heavy is imported; what the operator has set stays, but for telemetry."""
    silence()
    for name, value in {**ONE_THREAD_EACH, **QUIET}.items():
        os.environ.setdefault(name, value)
