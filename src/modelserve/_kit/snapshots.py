"""Figures that can only be asked for one by one, as they stood together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

MOST = 4
"""Readings after which the last one is taken as it is: where figures change all the time, a change that came
in the midst of a reading is small beside the whole."""


async def snapshot(read: Callable[[], Awaitable[T]]) -> T:
    """What ``read`` gathers, read again until two readings in a row are equal, ``MOST`` times at most.

    A single reading may have one figure from before a change and another from after it. Counters only rise,
    so between two equal readings nothing changed, and the figures stood together at one moment: the double
    collect of Afek et al., "Atomic snapshots of shared memory", J. ACM 40 (1993), observation 1.
    """
    earlier = await read()
    for _ in range(MOST - 1):
        now = await read()
        if now == earlier:
            break
        earlier = now
    return now
