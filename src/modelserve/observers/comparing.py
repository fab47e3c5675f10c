"""How pairs of answers are compared: by their form, or by the owner's own function.

The owner's function runs in a process of its own (``observers.owner``), never in the controller's: it may
import anything, hang, crash or grow, and the controller supervises every service of the platform. A process
that gives no answer in time is killed, and started anew for the next reading; so is one that nobody asks for
a while, so that a function that was put right is imported again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any

from modelserve.domain.differences import Difference, DifferenceKind
from modelserve.domain.services import Shadow
from modelserve.errors import Unavailable
from modelserve.judge.comparison import compare

Answers = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]
PATIENCE = 0.6
"""Seconds that a function may take for the pairs of one reading; less than an observer may."""
START_PATIENCE = 30.0
"""Seconds that its imports may take, in the background."""
IDLE = 60.0
"""Seconds without a question after which a function's process is let go of."""
_LINE = 64 * 1024 * 1024


class Comparing:
    """Compares by the rules of a rollout's shadow stage. ``allowed``: whether the operator allows code."""

    def __init__(self, allowed: bool = False, patience: float = PATIENCE, idle: float = IDLE) -> None:
        self._allowed, self._patience, self._idle = allowed, patience, idle
        self._owners: dict[str, _Owner] = {}

    async def compare(self, pairs: Sequence[Answers], shadow: Shadow) -> list[Difference]:
        """One for each pair. Raises Unavailable if the owner's function can't be asked."""
        rules = shadow.compare
        if rules.python is None:
            return [compare(stable, candidate, rules) for stable, candidate in pairs]
        if not self._allowed:
            raise Unavailable(f"shadow.compare: {rules.python} is not run: modelserve up --allow-code")
        owner = self._owners.setdefault(rules.python, _Owner(rules.python, self._idle))
        answered = [pair for pair in pairs if None not in pair]
        scores = iter(await owner.ask(answered, self._patience))
        return [_difference(1.0 if None in pair else next(scores), pair) for pair in pairs]

    async def close(self) -> None:
        await asyncio.gather(*(owner.stop() for owner in self._owners.values()))


def _difference(score: float, pair: Answers) -> Difference:
    kind = DifferenceKind.FAILURE if None in pair else DifferenceKind.CUSTOM
    return Difference({kind: 1}, score) if score > 0 else Difference()


class _Owner:
    """The process of one function, started when it is first asked for."""

    def __init__(self, function: str, idle: float) -> None:
        self._function, self._idle = function, idle
        self._process: Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._end: asyncio.TimerHandle | None = None

    async def ask(self, pairs: Sequence[Answers], patience: float) -> list[float]:
        """Raises Unavailable; the function is asked anew at the next reading."""
        if self._end is not None:
            self._end.cancel()
        try:
            return await self._ask(pairs, patience) if pairs else []
        finally:
            self._end = asyncio.get_running_loop().call_later(self._idle, self._let_go)

    async def _ask(self, pairs: Sequence[Answers], patience: float) -> list[float]:
        try:
            async with asyncio.timeout(patience):
                await self._started()
                return _scores(await self._exchange([list(pair) for pair in pairs]), len(pairs))
        except TimeoutError:
            if self._starting is not None and not self._starting.done():
                raise Unavailable(f"shadow.compare: {self._function} is being imported") from None
            await self.stop()
            raise Unavailable(f"shadow.compare: {self._function} took longer than {patience:g} s") from None
        except (OSError, ValueError, TypeError, asyncio.IncompleteReadError) as error:
            await self.stop()
            raise Unavailable(f"shadow.compare: {self._function}: {error}") from None

    async def _started(self) -> None:
        """Imports may take longer than a reading: they go on in the background."""
        if self._process is None and self._starting is None:
            self._starting = asyncio.create_task(self._start())
        if self._starting is not None:
            await asyncio.shield(self._starting)
            self._starting = None

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "modelserve.observers.owner", self._function, str(os.getpid()),
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=_LINE, start_new_session=True,
        )  # fmt: skip
        async with asyncio.timeout(START_PATIENCE):
            await self._exchange([])

    async def _exchange(self, pairs: Sequence[Any]) -> Any:
        """What the process answers. One that was not heard to the end is killed: its answer would be taken
        for that to the next question."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ValueError("its process has ended")
        try:
            process.stdin.write(json.dumps(pairs).encode() + b"\n")
            await process.stdin.drain()
            told = json.loads(await process.stdout.readuntil(b"\n"))
        except BaseException:
            self._kill(process)
            raise
        if isinstance(told, dict):
            raise ValueError(told["error"])
        return told

    async def stop(self) -> None:
        if self._end is not None:
            self._end.cancel()
        process = self._process
        self._let_go()
        if process is not None:
            await process.wait()

    def _let_go(self) -> None:
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
        if self._process is not None:
            self._kill(self._process)

    def _kill(self, process: Process) -> None:
        """End it and whatever it started."""
        if self._process is process:
            self._process = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _scores(told: Any, expected: int) -> list[float]:
    """Raises ValueError for what is no number in 0..1."""
    scores = [float(score) for score in told]
    if len(scores) != expected or not all(math.isfinite(s) and 0 <= s <= 1 for s in scores):
        raise ValueError(f"it must return a bool, or a number in 0..1, but gave {told[:3]!r}")
    return scores
