"""What the process and its helpers hold in memory, in bytes, and giving back what was freed."""

from __future__ import annotations

import contextlib
import ctypes
import gc

import psutil

APART = 16 * 2**20
"""Bytes from which memory is mapped by itself, so that the system has it back as soon as it is freed."""
_MMAP_THRESHOLD = -3
"""``M_MMAP_THRESHOLD`` of glibc's ``mallopt``."""


def keep_weights_apart() -> None:
    """Keep models' weights out of the heap, where glibc would begin to put them after a few loads."""
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, APART)


def settled() -> int:
    """What is resident once the memory that was freed is given back."""
    trim()
    return resident()


def resident(pid: int | None = None) -> int:
    """Bytes of memory that a process (None: this one) holds, and those that it started: isolated engines."""
    own = psutil.Process(pid)
    total = 0
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += int(process.memory_info().rss)
    return total


def trim() -> None:
    """Give freed memory back to the system."""
    gc.collect()
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:
        give_back(0)


def mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
