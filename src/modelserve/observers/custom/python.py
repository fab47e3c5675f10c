"""Adapter: a function of the owner's, run in a process of its own for each look.

What it does there (crash, hang, leak, print) harms no rollout: after ``patience`` the process is killed with
all that it started. What it answers is JSON on a pipe; nothing is unpickled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, cast

from modelserve.domain.guardrails import Kind, PythonMetric
from modelserve.observers.custom.base import Arm, Count, NoData, Nothing, Told, brief

LARGEST = 64 * 1024
"""Bytes of an answer."""


class PythonSource:
    """Nothing is run unless the operator allows code."""

    interval = 10.0
    patience = 10.0

    def __init__(self, source: PythonMetric, kind: Kind, allowed: bool) -> None:
        self._function, self._kind, self._allowed = source.python, kind, allowed

    @property
    def where(self) -> str:
        return f"the function {self._function}"

    async def read(self, arms: Sequence[Arm]) -> list[Told]:
        if not self._allowed:
            raise NoData("may not run; the operator allows code with: modelserve up --allow-code")
        answer = await _run(self._function, [arm.names for arm in arms])
        try:
            told = json.loads(answer)
        except ValueError:
            raise NoData("ended without an answer; the controller's log may say why") from None
        if isinstance(told, dict):
            raise NoData(brief(str(told.get("error"))))
        return [self._told(each) for each in told]

    def _told(self, value: Any) -> Told:
        if isinstance(value, dict):
            return Nothing(brief(f"raised {value.get('error')}"))
        if value is None:
            return Nothing("returned None")
        if self._kind is Kind.LIMIT and _is_number(value):
            return float(value)
        if self._kind is not Kind.LIMIT and _is_pair(value):
            return Count(float(value[0]), float(value[1]))
        wanted = "a number" if self._kind is Kind.LIMIT else "(total, bad), two numbers"
        return Nothing(f"returned {brief(json.dumps(value))}; it must return {wanted}")


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


async def _all(answering: asyncio.StreamReader) -> bytes:
    answer = b""
    while len(answer) <= LARGEST and (more := await answering.read(LARGEST)):
        answer += more
    return answer


async def _run(function: str, calls: list[dict[str, str]]) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "modelserve.observers.custom.child", function, str(os.getpid()),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    asking, answering = cast(asyncio.StreamWriter, process.stdin), cast(asyncio.StreamReader, process.stdout)
    try:
        asking.write(json.dumps(calls).encode())
        asking.close()
        answer = await _all(answering)
        if len(answer) > LARGEST:
            raise NoData(f"returned more than {LARGEST // 1024} KiB")
        return answer
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
