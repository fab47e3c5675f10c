"""The models of one server: loaded when they are first asked for, given up when memory is short.

One load at a time, and one for all who ask for the same model: they wait for it with their own deadlines.
What a model takes is measured, as the growth of memory while it was loaded, and never declared. A model that
is let go of is found by no new call, and closed after those that hold it; a reload loads the new one first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from modelserve._kit.eager import in_task
from modelserve.errors import (
    DeadlineExceeded,
    ModelServeError,
    NotReady,
    Unavailable,
    UnknownModel,
    UnknownRevision,
)
from modelserve.serving.catalogue import Catalogue
from modelserve.serving.memory import mib, settled, trim
from modelserve.serving.served import Served

FAILED = 10.0
"""Seconds for which a load that failed is not tried again unless somebody asks for just that."""
DRAIN = 30.0
"""Seconds that calls in flight get before a model that was told to go is closed all the same."""
LAST = 1.0
"""Seconds that models which are just leaving get when the server stops."""

Start = Callable[[str, str, Path], Awaitable[Served]]
"""Loads the package of a model's version, warms it up and starts its workers. Raises ModelServeError."""


class State(StrEnum):
    """By the names of the Open Inference Protocol's repository extension."""

    READY = "READY"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(slots=True, eq=False)
class Entry:
    """One version of one model, as far as the server knows it."""

    name: str
    version: str
    reason: str = ""
    """Why it is unavailable, or why it could not be loaded again."""
    served: Served | None = None
    size: int = 0
    """Bytes that its last load took, as measured; 0 before the first."""
    used: float = 0.0
    """When it was last asked; monotonic seconds."""
    retry: float = 0.0
    """Until when a failed load is not repeated; monotonic seconds."""
    waiting: int = 0
    """Calls that wait for the load under way; each holds the model from the moment that it is there."""
    leads: bool = False
    """Whether the load under way makes it the version that answers where a call names none."""
    leaving: int = 0
    """Its models that were let go of and are not closed yet."""
    loading: asyncio.Task[Served] | None = field(default=None, repr=False)

    @property
    def state(self) -> State:
        if self.served is not None:
            return State.READY
        if self.loading is not None:
            return State.LOADING
        return State.UNLOADING if self.leaving else State.UNAVAILABLE


class Repository:
    """``budget`` is in bytes, None for no bound; ``on_demand`` loads a model at the first call for it."""

    def __init__(
        self, catalogue: Catalogue, start: Start, *, budget: int | None = None, on_demand: bool = True
    ) -> None:
        self._catalogue, self._start = catalogue, start
        self._budget, self.on_demand = budget, on_demand
        self._entries: dict[tuple[str, str], Entry] = {}
        self._ready: dict[tuple[str, str | None], Entry] = {}
        """What answers for a name as a call says it; a call that finds its model here waits for nothing."""
        self._sizes: dict[Served, int] = {}
        """Bytes of every model in memory, those that are leaving included."""
        self._turn, self._still = asyncio.Lock(), asyncio.Lock()
        """Whose load it is; nothing is closed while one is measured."""
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False
        self.evictions = 0
        self.changed: Callable[[], None] = lambda: None
        """Called when another model answers for some name than before."""

    def find(self, name: str, version: str | None) -> Served | None:
        """The model if it is in memory. Raises UnknownModel or UnknownRevision.

        Who goes on to wait for something must hold it first: ``with served``.
        """
        if (entry := self._ready.get((name, version))) is not None:
            entry.used = time.monotonic()
            return entry.served
        self._catalogue.resolve(name, version)
        return None

    async def acquire(self, name: str, version: str | None, deadline: float | None = None) -> Served:
        """The model, loaded first if need be; to be held as one that was found.

        Raises UnknownModel, UnknownRevision, NotReady where models are not loaded on demand, DeadlineExceeded
        (monotonic seconds) while it is loaded, Unavailable if it can't be.
        """
        if not self.on_demand:
            return self.require(name, version)
        if (served := self.find(name, version)) is not None:
            return served
        await in_task()
        entry = self._entry(name, version)
        served = entry.served or await self._loaded(entry, deadline)
        if entry.served is not None:
            self._ready.setdefault((name, version), entry)
        return served

    def require(self, name: str, version: str | None) -> Served:
        """The model, which must be in memory. Raises UnknownModel, UnknownRevision or NotReady."""
        if (served := self.find(name, version)) is not None:
            return served
        if self.on_demand:
            raise NotReady("the model is not in memory; the first call for it loads it", retry_after=1.0)
        raise NotReady("the model is still being loaded; try again later", retry_after=1.0)

    async def load(self, name: str, version: str | None = None) -> Served:
        """Load or reload a model; the old one answers until the new one can.

        Without a version, the one loaded answers from then on where a call names none, and the one that did
        is let go of. Raises what loading raises.
        """
        entry = self._entry(name, version)
        if entry.loading is not None:
            await asyncio.wait([entry.loading])
        entry.leads = entry.leads or version is None
        task = self._loading(entry)
        await asyncio.wait([task])
        return _result(task)

    async def unload(self, name: str, version: str | None = None) -> None:
        """Let go of a model, all its versions if none is named, after the calls that they answer now.

        Raises UnknownModel or UnknownRevision.
        """
        known = [e for e in self._entries.values() if e.name == name and version in (None, e.version)]
        if not known:
            self._catalogue.resolve(name, version)
        if loads := [entry.loading for entry in known if entry.loading is not None]:
            await asyncio.wait(loads)
        if leaving := [self._let_go(entry) for entry in known if entry.served is not None]:
            await asyncio.wait(leaving)

    def names(self) -> tuple[str, ...]:
        """The models that can be asked for."""
        return self._catalogue.names()

    def index(self) -> list[Entry]:
        """Every model that could be asked for or is in memory, by name and version."""
        for name in self._catalogue.names():
            with contextlib.suppress(ModelServeError):  # it went just now
                self._entry(name, None)
        for key, entry in tuple(self._entries.items()):
            if entry.state is State.UNAVAILABLE and not self._known(entry):
                del self._entries[key]
        return sorted(self._entries.values(), key=lambda entry: (entry.name, entry.version))

    def served(self) -> Iterable[Served]:
        return [entry.served for entry in self._entries.values() if entry.served is not None]

    async def close(self) -> bool:
        """Stop everything. Whether no load and no run was left behind."""
        self._closing = True
        loads = [entry.loading for entry in self._entries.values() if entry.loading is not None]
        for load in loads:
            load.cancel()
        for tasks in (loads, self._leaving):
            if tasks:
                await asyncio.wait(tasks, timeout=LAST)
        closed = [served.close() for served in self.served()]
        return not loads and not self._leaving and all(closed)

    def _known(self, entry: Entry) -> bool:
        try:
            self._catalogue.resolve(entry.name, entry.version)
        except (UnknownModel, UnknownRevision):
            return False
        except ModelServeError:
            pass  # it can't be seen right now
        return True

    def _entry(self, name: str, version: str | None) -> Entry:
        found, _ = self._catalogue.resolve(name, version)
        return self._entries.setdefault((name, found), Entry(name, found))

    # Loading.

    async def _loaded(self, entry: Entry, deadline: float | None) -> Served:
        """Wait for the one load of this model."""
        if time.monotonic() < entry.retry:
            raise Unavailable(f"{entry.name}: can't be loaded: {entry.reason}", retry_after=FAILED)
        task = self._loading(entry)
        entry.waiting += 1
        try:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            await asyncio.wait([task], timeout=left)
        finally:
            if _succeeded(task):
                task.result().release()
            else:
                entry.waiting -= 1
        if not task.done():
            raise DeadlineExceeded(f"{entry.name}: was still being loaded at the deadline")
        try:
            return _result(task)
        except ModelServeError as error:
            raise Unavailable(
                f"{entry.name}: can't be loaded: {error.message}", retry_after=FAILED
            ) from error

    def _loading(self, entry: Entry) -> asyncio.Task[Served]:
        """The one load of this model that is under way."""
        if self._closing:
            raise Unavailable("the server is stopping")
        if entry.loading is None:
            entry.loading = asyncio.get_running_loop().create_task(self._load(entry))
            entry.loading.add_done_callback(_retrieved)
        return entry.loading

    async def _load(self, entry: Entry) -> Served:
        try:
            async with self._turn:
                served = await self._fitting(entry)
                self._publish(entry, served)
                return served
        except BaseException as error:
            entry.reason = _reason(error)
            entry.retry = time.monotonic() + FAILED
            raise
        finally:
            entry.loading, entry.leads = None, False

    def _publish(self, entry: Entry, served: Served) -> None:
        """From here on calls find the model; those that waited hold it already."""
        old, entry.served = entry.served, served
        entry.reason, entry.retry, entry.used = "", 0.0, time.monotonic()
        served.in_flight += entry.waiting
        entry.waiting = 0
        self._ready[entry.name, entry.version] = entry
        before = self._ready.get((entry.name, None))
        if entry.leads:
            self._ready[entry.name, None] = entry
        if entry.leads and before is not None and before is not entry:
            self._let_go(before)
        self.changed()
        if old is not None:
            self._leave(entry, old)

    async def _fitting(self, entry: Entry) -> Served:
        """A new model for this entry, for which there is room in memory; what it replaces does not count."""
        version, package = self._catalogue.resolve(entry.name, entry.version)
        await self._make_room(entry, entry.size)
        async with self._still:
            before = await asyncio.to_thread(settled)
            served = await self._start(entry.name, version, package)
            entry.size = max(0, await asyncio.to_thread(settled) - before)
        if self._budget is not None and entry.size > self._budget:
            await self._close(served)
            raise Unavailable(
                f"it takes {mib(entry.size)} and the models share {mib(self._budget)}; "
                "raise the memory budget or serve it elsewhere"
            )
        await self._make_room(entry, entry.size)
        self._sizes[served] = entry.size
        return served

    # Making room.

    def _over(self, more: int, but: Served | None) -> bool:
        held = sum(size for served, size in self._sizes.items() if served is not but)
        return self._budget is not None and held + more > self._budget

    async def _make_room(self, keep: Entry, more: int) -> None:
        """Let go of models, idle ones and the longest unused first, until ``more`` bytes fit."""
        while self._over(more, but=keep.served):
            if not self._leaving:
                if (entry := self._least(keep)) is None:
                    return
                self.evictions += 1
                self._let_go(entry)
            await asyncio.wait(self._leaving, return_when=asyncio.FIRST_COMPLETED)

    def _least(self, keep: Entry) -> Entry | None:
        """The model that is missed least."""
        found = [entry for entry in self._entries.values() if entry.served and entry is not keep]
        return min(
            found, key=lambda entry: (entry.served and entry.served.in_flight > 0, entry.used), default=None
        )

    def _let_go(self, entry: Entry) -> asyncio.Task[None]:
        """No new call finds the model; the task ends when it is out of memory."""
        served, entry.served = entry.served, None
        for key in [key for key, found in self._ready.items() if found is entry]:
            del self._ready[key]
        self.changed()
        entry.reason = "unloaded"
        assert served is not None  # noqa: S101 - whoever calls has looked
        return self._leave(entry, served)

    def _leave(self, entry: Entry, served: Served) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._gone(entry, served))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task

    async def _gone(self, entry: Entry, served: Served) -> None:
        """Close a model that no new call finds, after those that hold it."""
        entry.leaving += 1
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(served.idle(), DRAIN)
            async with self._still:
                await self._close(served)
        finally:
            entry.leaving -= 1

    async def _close(self, served: Served) -> None:
        try:
            await asyncio.to_thread(served.close)
        finally:
            self._sizes.pop(served, None)
            await asyncio.to_thread(trim)


def _succeeded(task: asyncio.Task[Served]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _result(task: asyncio.Task[Served]) -> Served:
    if task.cancelled():
        raise Unavailable("the server is stopping")
    return task.result()


def _reason(error: BaseException) -> str:
    """What clients are told; what is wrong inside of us stays inside."""
    return (
        error.message if isinstance(error, ModelServeError) else f"{type(error).__name__} inside the server"
    )


def _retrieved(task: asyncio.Task[Served]) -> None:
    """Whoever waited knows the error; nobody may have."""
    if not task.cancelled():
        task.exception()
