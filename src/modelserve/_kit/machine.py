"""What this process may use of the machine that it runs on."""

from __future__ import annotations

import contextlib
import math
import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """Cores that this process may use: those it is bound to, or fewer where its container's quota says so.

    Part of a core counts as one.
    """
    bound = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        share, period = quota.read_text().split()
        return max(1, min(bound, math.ceil(int(share) / int(period))))
    return bound


def cpu_model(info: Path = _CPU_INFO) -> str:
    """Name of the processor as the kernel tells it, else its architecture."""
    with contextlib.suppress(OSError):
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
