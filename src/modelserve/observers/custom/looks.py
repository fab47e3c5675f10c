"""A source that is asked in the background, so that a slow one never holds up the controller's tick."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from modelserve.observers.custom.base import Arm, CustomSource, NoData, Nothing, Told

log = logging.getLogger("modelserve.control")
numbers = itertools.count(1)
"""Of all looks of this process; whoever takes one knows which looks began later."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a source told of each arm, in the order asked, by a look that began as the ``number``-th."""

    number: int
    told: tuple[Told, ...]


class Looks:
    """Looks again and again as long as :meth:`turn` is called; forgotten, it does nothing."""

    def __init__(self, source: CustomSource, arms: Sequence[Arm]) -> None:
        self.source, self._arms = source, tuple(arms)
        self.latest: Look | None = None
        self.turned = 0.0
        """When it was called last; on the event loop's clock, in seconds."""
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0

    def turn(self) -> Look | None:
        """The latest look; begin another if one is due and none is under way."""
        self.turned = asyncio.get_running_loop().time()
        if (self._task is None or self._task.done()) and self.turned >= self._due:
            self._task = asyncio.create_task(self._look(next(numbers)))
        return self.latest

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self, number: int) -> None:
        told = tuple(await self._read())
        self.latest = Look(number, told)
        self._due = asyncio.get_running_loop().time() + self.source.interval

    async def _read(self) -> Sequence[Told]:
        try:
            async with asyncio.timeout(self.source.patience):
                return await self.source.read(self._arms)
        except NoData as nothing:
            why = str(nothing)
        except TimeoutError:
            why = f"gave nothing within {self.source.patience:g} s"
        except Exception as error:
            log.exception("%s could not be read", self.source.where)
            why = f"could not be read ({type(error).__name__})"
        return [Nothing(why)] * len(self._arms)
