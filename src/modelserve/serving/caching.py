"""Answers that are given again: the one ``answer()`` behind every protocol, with a cache before it.

Equal questions that come in at the same time are one *flight*: the first is answered, the others wait for its
answer. If its client goes away, the next one is answered in its place. If it fails, or its answer can't be
kept, the others are answered at once, each for itself: nobody inherits another's failure, and nobody waits
twice. Only answers are kept, never errors.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from modelserve import __version__
from modelserve._kit.eager import in_task
from modelserve.domain.inference import CacheOutcome, CacheUse, InferenceRequest, InferenceResponse
from modelserve.errors import DeadlineExceeded
from modelserve.packages.operators.names import RANDOM, operators_of
from modelserve.protocol import kept
from modelserve.serving.engine import Engine
from modelserve.serving.served import Loaded, Served
from modelserve.settings import ServerSettings
from modelserve.stores.cache import Cache
from modelserve.telemetry import Telemetry

LARGE = 256 * 1024
"""Bytes of a question from which its key is computed on a thread; a tenth of a millisecond or two."""
_ELSEWHERE = {
    "package",
    "host",
    "port",
    "grpc_port",
    "http_workers",
    "announce",
    "cache_url",
    "cache_ttl",
    "cache_bytes",
    "feature_bytes",
}
"""Settings that say where things are and how long they are kept: no answer depends on them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose answers they are. ``common`` is what all their keys begin with, ``ttl`` their life in seconds."""

    revision: str
    common: bytes
    ttl: float


Answer = Callable[[InferenceRequest], Awaitable[InferenceResponse]]
Flight = asyncio.Future[InferenceResponse | None]
"""Ends with an answer, with None if there is none to share, and cancelled if its client went away."""


class CachedServed(Served):
    """A served model that gives answers again."""

    def __init__(
        self, name: str, revision: str, loaded: Loaded, engine: Engine, settings: ServerSettings,
        telemetry: Telemetry, store: Cache,
    ) -> None:  # fmt: skip
        super().__init__(name, revision, loaded, engine, settings, telemetry)
        telemetry.cache = store
        scope = Scope(revision, common(settings, loaded), settings.cache_ttl or 0.0)
        self._caching = Caching(super().answer, store, scope, telemetry.cache_results)

    def require_room(self) -> None:
        """A full queue refuses nobody here: an answer that is kept needs no place in it."""

    async def answer(self, request: InferenceRequest) -> InferenceResponse:
        await in_task()
        return await self._caching.answer(request)


def is_cacheable(loaded: Loaded) -> bool:
    """Whether the model gives equal answers to equal questions, as far as it and its package tell."""
    return loaded.package.deterministic and not operators_of(loaded.package.model_file) & RANDOM


def common(settings: ServerSettings, loaded: Loaded) -> bytes:
    """What every key of a server begins with: its model, its revision and all settings, whatever they do."""
    facts = settings.model_dump(mode="json", exclude=_ELSEWHERE)
    facts |= {"digest": loaded.package.digest, "served as": loaded.package.task, "by": __version__}
    return kept.context(facts)


class Caching:
    """``answer`` is the uncached way; results are counted in ``results``."""

    def __init__(self, answer: Answer, store: Cache, scope: Scope, results: Counter[str]) -> None:
        self._uncached, self._store, self._scope, self._results = answer, store, scope, results
        self._flights: dict[str, Flight] = {}

    async def answer(self, request: InferenceRequest) -> InferenceResponse:
        """As :meth:`Served.answer`, and says in ``cache`` how the answer came about."""
        if request.cache is CacheUse.BYPASS or (key := await self._key(request)) is None:
            self._results["bypass"] += 1
            return replace(await self._uncached(request), cache=CacheOutcome.BYPASS)
        if request.cache is CacheUse.REFRESH:
            self._results["bypass"] += 1
            return await self._run(key, request)
        while (flight := self._flights.get(key)) is not None:
            await _landing(flight, request.deadline)
            if flight.cancelled():
                continue
            if (found := flight.result()) is not None:
                return self._hit(found, request)
            self._results["miss"] += 1
            return await self._run(key, request)
        return await self._lead(key, request)

    async def _key(self, request: InferenceRequest) -> str | None:
        """None for a question that has no key."""
        try:
            if _size(request) < LARGE:
                return kept.key(self._scope.common, request)
            return await asyncio.to_thread(kept.key, self._scope.common, request)
        except kept.Unkeepable:
            return None

    async def _lead(self, key: str, request: InferenceRequest) -> InferenceResponse:
        """Look, and run the model if nothing is there; whoever waits for it learns what came of it."""
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            if (found := await self._look(key, request)) is not None:
                flight.set_result(found)
                return self._hit(found, request)
            return await self._run(key, request, flight)
        except asyncio.CancelledError:
            flight.cancel()
            raise
        finally:
            del self._flights[key]
            if not flight.done():
                flight.set_result(None)

    async def _look(self, key: str, request: InferenceRequest) -> InferenceResponse | None:
        value = await self._store.get(key)
        if value is None:
            self._results["miss" if self._store.up else "error"] += 1
            return None
        if (content := kept.unpack(key, value)) is None:
            self._results["error"] += 1
            return None
        return InferenceResponse(request.model, self._scope.revision, request.request_id, *content)

    async def _run(
        self, key: str, request: InferenceRequest, flight: Flight | None = None
    ) -> InferenceResponse:
        response = await self._uncached(request)
        try:
            value = kept.pack(key, response)
        except kept.Unkeepable:
            value = None
        if value is not None:
            if flight is not None:
                flight.set_result(response)
            await self._store.put(key, value, self._scope.ttl)
        return replace(response, cache=CacheOutcome.MISS)

    def _hit(self, found: InferenceResponse, request: InferenceRequest) -> InferenceResponse:
        self._results["hit"] += 1
        return replace(found, request_id=request.request_id, cache=CacheOutcome.HIT)


async def _landing(flight: Flight, deadline: float | None) -> None:
    """Wait until a flight has ended. Raises DeadlineExceeded at the deadline of who waits."""
    seconds = None if deadline is None else deadline - time.monotonic()
    await asyncio.wait([flight], timeout=seconds)
    if not flight.done():
        raise DeadlineExceeded("the deadline passed while an equal request was being answered")


def _size(request: InferenceRequest) -> int:
    if request.tensors is not None:
        return sum(data.nbytes for data in request.tensors.values())
    return sum(map(len, request.items or ()))
