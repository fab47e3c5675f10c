"""A cache in the memory of this process: the values asked for longest ago go first."""

from __future__ import annotations

from collections.abc import Callable

from modelserve._kit.lru import Lru
from modelserve.stores.cache.base import LARGEST

OVERHEAD = 200
"""Bytes counted for each value beside its own: its key, its place in the order, its time."""


class MemoryCache:
    """At most ``max_bytes``; one value may have a quarter of them. ``clock`` gives seconds that only rise."""

    up = True

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        self._values: Lru[tuple[bytes, float]] = Lru(max_bytes)
        self._largest = min(LARGEST, max_bytes // 4)
        self._clock = clock

    @property
    def held(self) -> int:
        return self._values.held

    @property
    def evictions(self) -> int:
        return self._values.evictions

    async def get(self, key: str) -> bytes | None:
        found = self._values.get(key)
        if found is None:
            return None
        value, until = found
        if self._clock() < until:
            return value
        self._values.drop(key)
        return None

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        if len(value) <= self._largest:
            self._values.put(key, (value, self._clock() + ttl), len(value) + OVERHEAD)

    async def close(self) -> None:
        self._values.clear()
