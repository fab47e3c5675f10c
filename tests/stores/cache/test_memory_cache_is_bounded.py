from modelserve.stores.cache.memory import MemoryCache

VALUE = b"x" * 100_000


async def test_what_was_asked_for_longest_ago_goes_first(memory):
    for key in "abcd":
        await memory.put(key, VALUE, 60)
    await memory.get("a")

    await memory.put("e", VALUE, 60)

    assert await memory.get("b") is None
    assert [key for key in "acde" if await memory.get(key)] == list("acde")
    assert memory.evictions == 1


async def test_it_never_holds_more_than_it_may(memory):
    for n in range(100):
        await memory.put(f"{n}", b"x" * (n * 997 % 60_000), 60)
        assert memory.held <= 402_000

    assert memory.held > 300_000


async def test_many_small_values_count_with_what_they_cost_beside_their_bytes():
    cache = MemoryCache(10_000, lambda: 0.0)
    for n in range(1000):
        await cache.put(f"{n}", b"x", 60)

    assert cache.evictions > 900


async def test_one_value_may_not_push_out_all_others(memory):
    await memory.put("a", VALUE, 60)
    await memory.put("giant", b"x" * 400_000, 60)

    assert await memory.get("a") == VALUE
    assert await memory.get("giant") is None


async def test_a_value_lives_exactly_its_time_by_the_clock_it_was_given(memory, clock):
    await memory.put("a", VALUE, 30)

    clock.now += 29.999
    assert await memory.get("a") == VALUE
    clock.now += 0.001
    assert await memory.get("a") is None
    assert memory.held == 0


async def test_a_value_put_again_lives_anew(memory, clock):
    await memory.put("a", b"old", 30)
    clock.now += 20
    await memory.put("a", b"new", 30)
    clock.now += 20

    assert await memory.get("a") == b"new"
