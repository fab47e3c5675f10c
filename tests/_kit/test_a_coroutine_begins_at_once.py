"""A coroutine begins at once, and goes on as a task that ends as the coroutine does."""

from __future__ import annotations

import asyncio

import pytest

from modelserve._kit.eager import begin, in_task


async def test_and_is_over_if_it_waits_for_nothing() -> None:
    done: list[bool] = []

    async def short() -> None:
        done.append(True)

    assert begin(short(), asyncio.get_running_loop()) is None
    assert done == [True]


async def test_and_waits_as_a_task() -> None:
    loop = asyncio.get_running_loop()
    gate: asyncio.Future[int] = loop.create_future()
    seen: list[int] = []

    async def waiting() -> None:
        for _ in range(2):
            seen.append(await asyncio.shield(gate))
            await in_task()
            async with asyncio.timeout(10):
                await asyncio.sleep(0)

    task = begin(waiting(), loop)
    assert task is not None
    gate.set_result(3)
    await task
    assert seen == [3, 3]


async def test_and_hears_of_a_cancellation_before_the_task_s_first_step() -> None:
    loop = asyncio.get_running_loop()
    heard: list[str] = []

    async def waiting() -> None:
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            heard.append("cancelled")
            await asyncio.sleep(0)
            heard.append("last words")
            raise

    task = begin(waiting(), loop)
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == ["cancelled", "last words"]


async def test_and_fails_as_a_task() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("so")

    task = begin(failing(), asyncio.get_running_loop())
    assert task is not None
    with pytest.raises(ValueError, match="so"):
        await task
