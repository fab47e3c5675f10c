"""A cache in Redis, which the model servers of many processes and machines share.

A *circuit breaker* stands before it: the first call that Redis does not answer in time opens it, and from
then on every call is a miss at once, while a task in the background asks Redis until it answers again. Redis
itself bounds the memory: give it ``maxmemory`` and ``maxmemory-policy allkeys-lru``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ReadOnlyError, RedisError, ResponseError

from modelserve.stores.cache.base import LARGEST

PREFIX = "modelserve:"
"""What all keys begin with."""
PATIENCE = 0.1
"""Seconds for one call, connecting included: a slower cache helps nobody."""
CONNECTIONS = 16
"""Calls of one process at the same time; more wait their turn."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two tries to reach a store that is down; doubled each time until a call succeeds."""

T = TypeVar("T")


class RedisCache:
    """``url`` is ``redis://`` or ``rediss://``; nothing is sent before the first call. For one event loop."""

    held = 0
    evictions = 0

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=PATIENCE,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
        self._redis: Redis = Redis(connection_pool=pool)
        self._pause = FIRST_PAUSE
        self._mending: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def up(self) -> bool:
        return self._mending is None and not self._closed

    async def get(self, key: str) -> bytes | None:
        # A range bounds what a foreign value can cost; a key that is not there gives nothing.
        value = await self._ask(self._redis.getrange(PREFIX + key, 0, LARGEST)) if self.up else None
        return value if isinstance(value, bytes) and 0 < len(value) <= LARGEST else None

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        if self.up and len(value) <= LARGEST:
            await self._ask(self._redis.set(PREFIX + key, value, px=max(1, round(ttl * 1000))))

    async def close(self) -> None:
        self._closed = True
        if self._mending is not None:
            self._mending.cancel()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()

    async def _ask(self, call: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await call
        except (RedisError, OSError, TimeoutError) as error:
            if not _is_answer(error):
                self._open()
            return None
        self._pause = FIRST_PAUSE
        return answer

    def _open(self) -> None:
        if self.up:
            self._mending = asyncio.create_task(self._mend())

    async def _mend(self) -> None:
        """Wait, then ask; connections of before are of no use, for one may still carry an old answer."""
        answered = False
        while not answered:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            answered = await self._answers()
        self._mending = None

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._redis.connection_pool.disconnect(inuse_connections=False)
                ping: Any = self._redis.ping()
                await ping
        except (RedisError, OSError, TimeoutError):
            return False
        return True


def _is_answer(error: Exception) -> bool:
    """Whether Redis did answer, if only to say no: a value of another type, say, or no memory left. One that
    still loads, or became a replica, is as good as down: another connection may lead to a better one."""
    return isinstance(error, ResponseError) and not isinstance(error, BusyLoadingError | ReadOnlyError)
