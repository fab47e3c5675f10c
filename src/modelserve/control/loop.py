"""When the controller acts: at a fixed tick, for ever, whatever a single tick brings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from modelserve.control.platform import Platform
from modelserve.control.reconcile import reconcile

log = logging.getLogger("modelserve.control")


PROXY_TICK = 0.1
"""Seconds between two looks at whether the proxy lives: without it nobody is served."""


ERRAND_TICK = 1.0
"""Seconds between two rounds of each errand."""
PRUNE_TICK = 60.0
"""Seconds between two looks for predictions and labels that are too old."""


async def run(platform: Platform, tick: float, stop: asyncio.Event) -> None:
    """Reconcile every ``tick`` seconds, and keep the proxy alive meanwhile, until ``stop`` is set."""
    await asyncio.gather(
        _repeat(lambda: reconcile(platform), tick, stop),
        _repeat(platform.router.ensure, PROXY_TICK, stop),
        _repeat(platform.labels.prune, PRUNE_TICK, stop),
        *(_repeat(errand, ERRAND_TICK, stop) for errand in platform.errands),
    )


async def _repeat(act: Callable[[], Awaitable[object]], every: float, stop: asyncio.Event) -> None:
    """A round that fails is logged; the next one goes on."""
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        due = clock() + every
        try:
            await act()
        except Exception:
            log.exception("a round failed; the next one goes on")
        await _sleep_until(due, stop)


async def _sleep_until(due: float, stop: asyncio.Event) -> None:
    delay = max(0.01, due - asyncio.get_running_loop().time())
    try:
        async with asyncio.timeout(delay):
            await stop.wait()
    except TimeoutError:
        return
