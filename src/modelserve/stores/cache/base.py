"""Port: the cache, which keeps values for a while and may forget any of them at any time.

A cache is help, never a need: no method raises for a store that is down, slow, full or holds nonsense. What
can't be read is a miss, what can't be written is dropped. Callers check what they get: another program may
have written to a shared store.
"""

from __future__ import annotations

from typing import Protocol

LARGEST = 4 * 1024 * 1024
"""Bytes of one value; a larger one is neither kept nor read."""


class Cache(Protocol):
    """Bounded: in bytes by the adapter or by the store behind it, in time by each value's ``ttl``."""

    @property
    def up(self) -> bool:
        """Whether the store answered when it was last asked. While it does not, everything is a miss."""

    @property
    def held(self) -> int:
        """Bytes that this process holds for it; 0 where another program holds them."""

    @property
    def evictions(self) -> int:
        """Values that this process dropped to make room, since it started."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Takes a tenth of a second at most."""

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for ``ttl`` seconds (above 0), in place of the key's earlier one."""

    async def close(self) -> None:
        """Let go of connections and memory; the cache is empty and silent afterwards."""
