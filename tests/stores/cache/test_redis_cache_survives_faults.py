import asyncio
import time
from collections import Counter

import pytest

from modelserve._kit.ports import free_port
from modelserve._kit.waiting import wait_until
from modelserve.stores.cache import open_cache, redis


@pytest.fixture
async def cache(redis_server):
    opened = open_cache(redis_server.url, 0)
    yield opened
    await opened.close()


class Load:
    """Eight callers that write and read; what they read is right or nothing."""

    def __init__(self, cache) -> None:
        self.counts, self._cache = Counter(), cache
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._call_on(n)) for n in range(8)]

    async def _call_on(self, number: int) -> None:
        key, value = f"key-{number}", b"%d" % number * 1000
        while not self._stop.is_set():
            await self._cache.put(key, value, 60)
            found = await self._cache.get(key)
            self.counts["wrong" if found not in (None, value) else "hit" if found else "miss"] += 1
            await asyncio.sleep(0.001)

    async def stop(self) -> Counter:
        self._stop.set()
        await asyncio.gather(*self._tasks)
        return self.counts


async def test_a_store_that_is_killed_under_load_and_comes_back_costs_no_error(cache, redis_server, until):
    load = Load(cache)
    await until(lambda: load.counts["hit"] > 50, "the load hits")

    redis_server.kill()
    await until(lambda: not cache.up, "the death is noticed")
    misses = load.counts["miss"]
    await until(lambda: load.counts["miss"] > misses + 200, "calls go on as misses")
    redis_server.start()
    await until(lambda: cache.up, "it is found again")
    hits = load.counts["hit"]
    await until(lambda: load.counts["hit"] > hits + 50, "the load hits again")

    assert (await load.stop())["wrong"] == 0


async def test_a_frozen_store_holds_up_nobody_for_long(cache, redis_server, until):
    redis_server.client().set("modelserve:a", b"x")
    await cache.get("a")
    redis_server.freeze()
    began = time.monotonic()
    found = await asyncio.gather(*(cache.get("a") for _ in range(50)))
    waited = time.monotonic() - began
    assert found == [None] * 50
    assert waited < 5, "calls that were under way when it froze wait once, together"
    assert not cache.up

    answered = asyncio.gather(*(cache.get("a") for _ in range(1000)))
    assert await asyncio.wait_for(answered, 5) == [None] * 1000

    redis_server.thaw()

    async def hits():
        return await cache.get("a") == b"x"

    await wait_until(hits, 20, "it is found again")


async def test_a_store_that_was_never_there_is_a_miss_at_once(until):
    cache = open_cache(f"redis://127.0.0.1:{free_port()}", 0)
    await cache.put("a", b"x", 60)

    assert await cache.get("a") is None
    assert not cache.up
    await cache.close()


async def test_tries_to_reach_it_become_rarer(monkeypatch, until):
    monkeypatch.setattr(redis, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(redis, "LONGEST_PAUSE", 0.016)
    cache = open_cache(f"redis://127.0.0.1:{free_port()}", 0)
    await cache.get("a")

    await until(lambda: cache._pause == 0.016, "the pause has grown")

    await cache.close()


async def test_foreign_values_of_another_type_or_size_are_misses(patient, cache, redis_server):
    client = redis_server.client()
    client.lpush("modelserve:list", "x")
    client.set("modelserve:giant", b"x" * (8 * 1024 * 1024))
    client.set("modelserve:empty", b"")

    for key in ("list", "giant", "empty"):
        assert await cache.get(key) is None, key
    assert cache.up
    await cache.put("list", b"mine", 60)
    assert await cache.get("list") == b"mine"


async def test_a_store_that_is_full_drops_values_and_stays_up(patient, cache, redis_server):
    redis_server.client().config_set("maxmemory", "1mb")

    for n in range(30):
        await cache.put(f"key-{n}", b"x" * 100_000, 60)

    assert cache.up
    assert await cache.get("key-29") is None


async def test_keys_are_under_its_prefix_and_have_an_end(patient, cache, redis_server):
    await cache.put("a", b"x", 60)

    client = redis_server.client()
    assert client.keys("*") == [b"modelserve:a"]
    assert 0 < client.ttl("modelserve:a") <= 60


async def test_a_wrong_password_is_a_miss_and_stays_secret(redis_server, caplog, capfd):
    redis_server.client().config_set("requirepass", "right")
    cache = open_cache(redis_server.url.replace("redis://", "redis://:hunter2@"), 0)

    assert await cache.get("a") is None
    assert not cache.up
    await cache.close()
    told = caplog.text + "".join(capfd.readouterr()) + repr(cache)
    assert "hunter2" not in told


async def test_the_right_password_opens_it(patient, redis_server):
    redis_server.client().config_set("requirepass", "right")
    cache = open_cache(redis_server.url.replace("redis://", "redis://:right@"), 0)

    await cache.put("a", b"x", 60)

    assert await cache.get("a") == b"x"
    await cache.close()


async def test_a_store_that_became_read_only_is_as_good_as_down(patient, cache, redis_server):
    await cache.put("a", b"x", 60)
    redis_server.client().replicaof("127.0.0.1", str(free_port()))

    await cache.put("a", b"y", 60)

    assert not cache.up
