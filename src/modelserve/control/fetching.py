"""Models on their way to this machine: one fetch per URI at a time, whoever asks, however often.

A fetch goes on when the caller that began it stops waiting; the next caller joins it or finds it done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from modelserve.errors import Fetching, NotFound
from modelserve.sources import ModelUri, Sources
from modelserve.stores.blobs.base import Blobs

T = TypeVar("T")
Artefact = tuple[str, Path]
"""Digest and folder."""

PATIENCE = 20.0
"""Seconds that a caller waits before it is told that the fetch is still under way."""
WORKERS = 4
"""Fetches and copies at the same time, in threads of their own: the controller's other work goes on."""
LOG_EVERY = 10.0
"""Seconds between two lines of the log about one fetch."""

log = logging.getLogger("modelserve.control")


@dataclass
class Progress:
    """How far one fetch has come."""

    uri: str
    started: float = field(default_factory=time.time)
    here: int = 0
    expected: int | None = None
    _told: float = field(default_factory=time.monotonic)

    def __call__(self, here: int, expected: int | None) -> None:
        self.here, self.expected = here, expected
        if time.monotonic() - self._told >= LOG_EVERY:
            self._told = time.monotonic()
            log.info("%s: %s", self.uri, self)

    def __str__(self) -> str:
        of = f" of {_size(self.expected)}" if self.expected else ""
        return f"{_size(self.here)}{of} are here"


class Fetcher:
    """Brings models into the artefact store."""

    def __init__(self, blobs: Blobs, sources: Sources, patience: float = PATIENCE) -> None:
        self._blobs, self._sources, self._patience = blobs, sources, patience
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")
        self._flights: dict[str, tuple[asyncio.Task[str], Progress]] = {}
        self._held: Counter[str] = Counter()
        self._evicting = asyncio.Lock()

    @property
    def under_way(self) -> tuple[Progress, ...]:
        return tuple(progress for _, progress in self._flights.values())

    def fetched(self, uri: ModelUri, where: str) -> AbstractAsyncContextManager[Artefact]:
        """What the URI names. Raises InvalidSpec, Unavailable, or Fetching after ``patience`` seconds."""
        return self._holding(lambda: self._joined(uri, where))

    def copied(self, source: Path) -> AbstractAsyncContextManager[Artefact]:
        """What lies at a path of this machine. Raises InvalidPackage or Unavailable."""
        return self._holding(lambda: self.run(lambda: self._blobs.put(source)[0]))

    def stored(self, digest: str) -> AbstractAsyncContextManager[Artefact]:
        """What is in the store already. Raises NotFound."""

        async def bring() -> str:
            return digest

        return self._holding(bring)

    async def has(self, digest: str) -> bool:
        """Whether the store has it; one kept elsewhere is brought here."""
        return await self.run(lambda: self._has(digest))

    @asynccontextmanager
    async def _holding(self, bring: Callable[[], Awaitable[str]]) -> AsyncIterator[Artefact]:
        """Digest and folder in the store, safe from eviction while this is open."""
        digest = await bring()
        self._held[digest] += 1
        try:
            async with self._evicting:
                evicted_before_held = not await self.has(digest)
            if evicted_before_held:
                await bring()
            yield digest, await self.run(lambda: self._blobs.path(digest))
        finally:
            self._held[digest] -= 1

    async def evict(self, digest: str) -> bool:
        """Drop an artefact unless somebody is about to name it; whether that was done."""
        async with self._evicting:
            if self._held[digest] > 0:
                return False
            await self.run(lambda: self._blobs.evict(digest))
            return True

    async def run(self, work: Callable[[], T]) -> T:
        """Something that takes long, in a thread of the fetcher's own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def close(self) -> None:
        """End every fetch, soon; what is half-way here goes on with the next start."""
        self._sources.stop()
        await asyncio.gather(*(task for task, _ in self._flights.values()), return_exceptions=True)
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _joined(self, uri: ModelUri, where: str) -> str:
        task, progress = self._flights.get(uri.text) or self._take_off(uri, where)
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            raise Fetching(
                f"{where}: {uri.shown!r} is still being fetched ({progress}); apply again to wait on",
                retry_after=1.0,
            )
        return task.result()

    def _take_off(self, uri: ModelUri, where: str) -> tuple[asyncio.Task[str], Progress]:
        progress = Progress(uri.shown)
        task = asyncio.create_task(self.run(lambda: self._fetch(uri, progress, where)))
        task.add_done_callback(lambda done: self._land(uri, done))
        self._flights[uri.text] = task, progress
        return self._flights[uri.text]

    def _land(self, uri: ModelUri, task: asyncio.Task[str]) -> None:
        del self._flights[uri.text]
        if not task.cancelled() and (error := task.exception()):
            log.warning("%s could not be fetched: %s", uri.shown, error)

    def _fetch(self, uri: ModelUri, progress: Progress, where: str) -> str:
        """In a thread: the digest, of an earlier fetch where nothing has changed since."""
        listing = self._sources.look(uri, where)
        if (known := self._sources.memory.digest(uri.text, listing.version)) and self._has(known):
            return known
        fetched = self._sources.fetch(uri, listing, progress, where)
        digest, _ = self._blobs.put(fetched.path)
        self._remember(uri, fetched.version, digest)
        log.info("%s was fetched: artefact %s", uri.shown, digest)
        return digest

    def _remember(self, uri: ModelUri, version: str | None, digest: str) -> None:
        """So that it is not fetched twice; where that can't be written, it is."""
        try:
            self._sources.memory.keep(uri.text, version, digest)
        except OSError as error:
            log.warning("%s will be fetched again next time: %s", uri.shown, error)
        self._sources.memory.discard(uri.text)

    def _has(self, digest: str) -> bool:
        try:
            self._blobs.path(digest)
        except NotFound:
            return False
        return True


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
