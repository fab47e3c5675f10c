"""Coroutines that run at once, and become tasks only if they have to wait.

A task costs more than a short call; but some of asyncio (timeouts, for one) works in tasks alone. Whoever
uses that calls :func:`in_task` first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


def begin(running: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None] | None:
    """Run a coroutine up to where it waits: None if it ended, else the task that goes on with it."""
    try:
        waits_for = running.send(None)
    except StopIteration:
        return None
    return loop.create_task(_Rest(running, waits_for))


async def in_task() -> None:
    """Go on as a task."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)


class _Rest(Coroutine[Any, Any, None]):
    """What is left of a coroutine that was begun outside of a task and waits for ``waits_for``. No coroutine
    around it: one that is cancelled before its first step would never tell it."""

    __slots__ = ("_running", "_told", "_waits_for")

    def __init__(self, running: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._running, self._waits_for, self._told = running, waits_for, False

    def send(self, value: Any) -> Any:
        if self._told:
            return self._running.send(value)
        self._told = True
        return self._waits_for

    def throw(self, *error: Any) -> Any:
        self._told = True
        return self._running.throw(*error)

    def close(self) -> None:
        self._running.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError("only a task goes on with it")
