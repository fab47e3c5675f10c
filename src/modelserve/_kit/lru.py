"""A bounded memory that forgets what was asked for longest ago. Safe to use from several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class Lru(Generic[V]):
    """Values by key, at most ``most`` bytes of them as their sizes were told."""

    def __init__(self, most: int) -> None:
        self.held = 0
        """Bytes."""
        self.evictions = 0
        """Values dropped to make room."""
        self.hits = self.misses = 0
        """What :meth:`get` found and did not."""
        self._most = most
        self._entries: OrderedDict[bytes | str, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes | str) -> V | None:
        """The value, which is now the newest; None if there is none."""
        with self._lock:
            if (entry := self._entries.get(key)) is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: bytes | str, value: V, size: int) -> None:
        """Keep a value of ``size`` bytes in place of the key's earlier one; nothing if it is too large."""
        with self._lock:
            self._drop(key)
            if size > self._most:
                return
            self._entries[key] = (value, size)
            self.held += size
            while self.held > self._most:
                self._drop(next(iter(self._entries)))
                self.evictions += 1

    def drop(self, key: bytes | str) -> None:
        """Forget a key; unknown ones are ignored."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.held = 0

    def _drop(self, key: bytes | str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self.held -= entry[1]
