"""A timer that rings at a point of the monotonic clock, exact to some microseconds.

The loop's own timers count whole milliseconds, which would be most of the latency of a quick server. Linux's
timerfd counts nanoseconds; elsewhere the loop's timer has to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable
from typing import Protocol

_FLAGS = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_MONOTONIC, _ABSOLUTE = 1, 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm(Protocol):
    def set(self, when: float) -> None:
        """Ring once, at this reading of ``time.monotonic``; at once if it is past."""

    def close(self) -> None:
        """Never ring again."""


def alarm(ring: Callable[[], None]) -> Alarm:
    """An alarm on the running loop."""
    loop = asyncio.get_running_loop()
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "timerfd_create"):
        return _Timerfd(libc, loop, ring)
    return _LoopTimer(loop, ring)


class _Timerfd:
    def __init__(self, libc: ctypes.CDLL, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._libc, self._loop, self._ring = libc, loop, ring
        self._fd = libc.timerfd_create(_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._told = _Itimerspec()
        loop.add_reader(self._fd, self._rang)

    def set(self, when: float) -> None:
        seconds = int(when)
        self._told.value.seconds = seconds
        self._told.value.nanoseconds = max(1, int((when - seconds) * 1e9))  # zero would switch it off
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(self._told), None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _rang(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._ring()


class _LoopTimer:
    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        self._handle = self._loop.call_later(max(0.0, when - time.monotonic()), self._ring)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
