"""Waiting for a condition that has a name, never for a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    timeout: float,  # noqa: ASYNC109 - the deadline ends in a sentence that names the condition
    description: str,
    *,
    interval: float = 0.02,
) -> None:
    """Return once ``predicate`` is true; seconds. Raises TimeoutError that says what was waited for."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout
    while True:
        outcome = predicate()
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if outcome:
            return
        if clock() >= deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain: {description}")
        await asyncio.sleep(interval)
