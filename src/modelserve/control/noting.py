"""Writing down who met which arm, once for each participant."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from modelserve.control.exposures import Tail, exposures
from modelserve.control.platform import Platform
from modelserve.domain.experiments import ExperimentState
from modelserve.domain.participants import Exposure
from modelserve.errors import ModelServeError


async def everyone(platform: Platform) -> tuple[ExperimentState, ...]:
    """Every experiment, over or not, by name."""
    return await asyncio.to_thread(platform.book.records.experiments)


async def take_note(platform: Platform) -> None:
    """Write down the exposures that the front door has logged since the last look. Raises Unavailable."""
    tail = platform.exposures
    if tail is None:
        return
    async with tail.lock:
        if lines := await asyncio.to_thread(tail.lines):
            await _write_down(platform, tail, lines)


async def _write_down(platform: Platform, tail: Tail, lines: list[bytes]) -> None:
    found: dict[str, list[Exposure]] = defaultdict(list)
    try:
        states = {state.name: state for state in await everyone(platform)}
        for name, exposure in exposures(lines, states):
            if tail.remembered.note(name, exposure):
                found[name].append(exposure)
        for name, some in found.items():
            await asyncio.to_thread(platform.book.records.add_exposures, name, some)
    except ModelServeError:
        tail.take_back()
        for name, some in found.items():
            tail.remembered.forget(name, some)
        raise
