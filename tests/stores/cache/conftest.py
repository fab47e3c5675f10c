"""Every cache there is, and a clock that tests own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from modelserve.stores.cache import Cache, open_cache, redis
from modelserve.stores.cache.memory import MemoryCache


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may take its time, as on a busy machine: for tests of what it answers, not of when."""
    monkeypatch.setattr(redis, "PATIENCE", 20.0)


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest, patient: None) -> AsyncIterator[Cache]:
    """An empty cache, once for each adapter."""
    if request.param == "memory":
        opened = open_cache("memory://", 8 * 1024 * 1024)
    else:
        server = request.getfixturevalue("shared_redis")
        server.client().flushall()
        opened = open_cache(server.url, 0)
    yield opened
    await opened.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> MemoryCache:
    """Room for about four values of 100,000 bytes, by a clock that the test moves."""
    return MemoryCache(402_000, clock)


async def until(condition: Callable[[], bool], description: str) -> None:
    """Wait for a named condition."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {description}"
        await asyncio.sleep(0.005)


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., object]:
    return until
