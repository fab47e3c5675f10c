"""Writing down who met which arm, once for each participant; forgetting it with its experiment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext

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


def noting(platform: Platform) -> AbstractAsyncContextManager[object]:
    """Held while nobody writes down who met what."""
    return platform.exposures.lock if platform.exposures else nullcontext()


def forget_met(platform: Platform, deleted: Iterable[str]) -> None:
    """Who met experiments that are deleted; to be called before :func:`noting` is let go of."""
    if platform.exposures is not None:
        for name in deleted:
            platform.exposures.remembered.forget_all(name)


async def forget_found(platform: Platform, deleted: Iterable[str]) -> None:
    """What deleted experiments have found."""
    names = set(deleted)
    for name in names:
        await platform.ledgers.forget(name)
    for told in [told for told in platform.told if told[0] in names]:
        del platform.told[told]


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
