"""Clients of the demo: they send the packages' held-out samples through the front door at a steady rate.

The rate does not wait for answers (an open loop), as real clients don't, and every answer is counted under
the revision that gave it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx


@dataclass(frozen=True)
class Sample:
    """One request body, and whether its text has characters outside of ASCII."""

    body: bytes
    media: str


@dataclass
class Tally:
    """What clients of one service saw, by revision."""

    sent: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    slow: Counter[str] = field(default_factory=Counter)
    first_failure: str = ""


SLOW = 0.05
"""Seconds from which the demo calls an answer slow: many times what these models take."""


def samples(package: Path) -> list[Sample]:
    """The rows of a package's reference file as request bodies."""
    rows = [json.loads(line) for line in (package / "reference.jsonl").read_text("utf-8").splitlines()]
    return [_sample(row) for row in rows]


def _sample(row: dict[str, str]) -> Sample:
    if "image" in row:
        return Sample(base64.b64decode(row["image"]), "image/png")
    return Sample(json.dumps({"text": row["text"]}).encode(), "application/json")


class Traffic:
    """Steady requests to one service, from :meth:`start` to :meth:`stop`."""

    def __init__(self, door: str, service: str, bodies: list[Sample], rate: float) -> None:
        self.tally = Tally()
        self._url = f"{door}/predict/{service}"
        self._bodies: Iterator[Sample] = itertools.cycle(bodies)
        self._interval = 1.0 / rate
        self._client = httpx.AsyncClient(
            timeout=30, trust_env=False, limits=httpx.Limits(max_connections=200)
        )
        self._pump: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._pump = asyncio.create_task(self._send_steadily())

    async def stop(self) -> None:
        """Send nothing more, and wait for every answer that is due."""
        if self._pump is not None:
            self._pump.cancel()
        await asyncio.gather(*self._in_flight)
        await self._client.aclose()

    async def _send_steadily(self) -> None:
        due = time.monotonic()
        while True:
            due += self._interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._ask(next(self._bodies)))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _ask(self, sample: Sample) -> None:
        self.tally.sent += 1
        started = time.monotonic()
        try:
            answer = await self._client.post(
                self._url, content=sample.body, headers={"content-type": sample.media}
            )
        except httpx.HTTPError as error:
            self._count_failure("nobody", repr(error))
            return
        revision = answer.headers.get("x-modelserve-revision", "nobody")
        if answer.status_code != 200:
            self._count_failure(revision, f"{answer.status_code} {answer.text[:200]}")
            return
        self.tally.answered[revision] += 1
        self.tally.slow[revision] += time.monotonic() - started > SLOW

    def _count_failure(self, revision: str, what: str) -> None:
        self.tally.failed[revision] += 1
        self.tally.first_failure = self.tally.first_failure or f"{revision}: {what}"
