"""What was predicted of live requests, short, kept in memory until the controller has read it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

import orjson

LIMIT = 1000
"""Predictions in one reading, at most."""
KEPT = 65_536
"""Predictions kept: a minute at a thousand requests a second."""
BUDGET = 32 * 1024 * 1024
"""Bytes of all predictions kept."""


class PredictionLog:
    """The newest predictions, at most ``kept`` and ``BUDGET`` bytes of JSON, numbered from 1 in each epoch
    (one process's life)."""

    def __init__(self, kept: int, epoch: str) -> None:
        self._ring: deque[bytes] = deque()
        self._kept, self._epoch = kept, epoch
        self._last = self._size = 0

    def add(self, request_id: str, arm: str, predicted: dict[str, Any], parts: Mapping[str, str]) -> None:
        """``parts`` are those of segments that the request belongs to."""
        self._last += 1
        told = {"seq": self._last, "id": request_id, "arm": arm, "at": time.time()}
        self._ring.append(orjson.dumps({**told, "predicted": predicted, "parts": parts}))
        self._size += len(self._ring[-1])
        while len(self._ring) > self._kept or self._size > BUDGET:
            self._size -= len(self._ring.popleft())

    def after(self, seq: int, limit: int, revision: str) -> bytes:
        """Predictions of ``revision`` with a number above ``seq``, oldest first, as the JSON of
        ``schemas.PredictionPage``.

        ``next`` is the ``seq`` of the next reading. ``oldest`` is the number of the oldest one kept (of the
        next one to come if none is): what is between ``seq`` and ``oldest`` was lost.
        """
        oldest = self._last - len(self._ring) + 1
        start = min(max(0, seq + 1 - oldest), len(self._ring))
        found = list(islice(self._ring, start, start + limit))
        reached = oldest + start + len(found) - 1 if found else self._last
        about = {"epoch": self._epoch, "revision": revision, "next": reached, "oldest": oldest}
        return b'%s,"predictions":[%s]}' % (orjson.dumps(about)[:-1], b",".join(found))
