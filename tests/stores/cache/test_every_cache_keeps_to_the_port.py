import asyncio

import pytest

from modelserve.stores.cache.base import LARGEST


async def test_a_value_comes_back_as_it_was(cache):
    values = {"a": b"x", "b": bytes(range(256)) * 100, "c": "naïve 🙂 \x00\r\n".encode()}
    for key, value in values.items():
        await cache.put(key, value, 60)

    assert {key: await cache.get(key) for key in values} == values
    assert cache.up


async def test_what_was_never_put_is_a_miss(cache):
    assert await cache.get("nothing") is None
    assert cache.up


async def test_a_later_value_takes_the_place_of_an_earlier_one(cache):
    await cache.put("a", b"old", 60)
    await cache.put("a", b"new", 60)

    assert await cache.get("a") == b"new"


async def test_a_value_that_is_too_large_is_dropped(cache):
    await cache.put("large", b"x" * (LARGEST + 1), 60)

    assert await cache.get("large") is None
    assert cache.up


async def test_a_value_is_gone_when_its_time_is_over(cache):
    await cache.put("short", b"x", 0.001)
    await cache.put("long", b"y", 60)

    for _ in range(5000):
        if await cache.get("short") is None:
            break
        await asyncio.sleep(0.001)

    assert await cache.get("short") is None
    assert await cache.get("long") == b"y"


async def test_many_calls_at_the_same_time_get_their_own_values(cache):
    keys = [f"key-{n}" for n in range(200)]
    for key in keys:
        await cache.put(key, key.encode() * 50, 60)

    found = await asyncio.gather(*(cache.get(key) for key in keys))

    assert {value for value in found if value} <= {key.encode() * 50 for key in keys}
    assert all(value in (None, key.encode() * 50) for key, value in zip(keys, found, strict=True))


async def test_a_caller_that_goes_away_swaps_nobody_elses_values(cache):
    for n in range(20):
        await cache.put(f"key-{n}", b"%d" % n * 5000, 60)

    for turn in range(100):
        given_up = asyncio.ensure_future(cache.get(f"key-{turn % 20}"))
        for _ in range(turn % 4):
            await asyncio.sleep(0)
        given_up.cancel()
        other = (turn + 7) % 20
        assert await cache.get(f"key-{other}") in (b"%d" % other * 5000, None)
        await asyncio.gather(given_up, return_exceptions=True)


async def test_a_closed_cache_is_silent(cache):
    await cache.put("a", b"x", 60)
    await cache.close()

    await cache.put("b", b"y", 60)
    await cache.close()
    assert await cache.get("a") is None


@pytest.mark.parametrize("held", ["held", "evictions"])
async def test_its_figures_are_numbers_from_the_start(cache, held):
    assert getattr(cache, held) == 0
