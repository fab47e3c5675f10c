"""Prepared inputs that are used again: a task that remembers the tokens of texts and the pixels of images.

A task prepares with one tokenizer or preprocessor and one set of limits for all its life, so its memory needs
no more of a key than the item itself. Nothing is shared with other processes: to fetch tokens takes longer
than to make them, and pixels have many times the bytes of the image that they come from.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from modelserve._kit.lru import Lru
from modelserve.domain.inference import Tensors
from modelserve.serving.served import Loaded
from modelserve.settings import ServerSettings
from modelserve.tasks.base import Task
from modelserve.telemetry import Telemetry

LEAST = 32
"""Letters of a text, or bytes of an image, from which it is remembered: a shorter one is prepared sooner than
one out of three times it has to be remembered in vain."""
CONTEXT = 11
"""Bytes that a task's context (a text's words and places) is counted with, for each byte of its tensors: what
20,000 remembered texts of 83 tokens took."""
OVERHEAD = 1000
"""Bytes counted for each item beside its tensors and its context."""


def remembering(loaded: Loaded, settings: ServerSettings, telemetry: Telemetry) -> Loaded:
    """The package with a task that remembers, where the settings give it memory; else as it is."""
    if loaded.task is None or not settings.feature_bytes:
        return loaded
    telemetry.features = task = RememberingTask(loaded.task, settings.feature_bytes)
    return replace(loaded, task=task)


class RememberingTask:
    """A task like the one inside of it, only faster at what it has seen. Safe on several threads."""

    def __init__(self, task: Task, max_bytes: int) -> None:
        self._task = task
        self._memory: Lru[tuple[Tensors, Any]] = Lru(max_bytes)
        self.finish = task.finish

    @property
    def results(self) -> dict[str, int]:
        """Items by how they were prepared."""
        return {"hit": self._memory.hits, "miss": self._memory.misses}

    @property
    def held(self) -> int:
        return self._memory.held

    @property
    def evictions(self) -> int:
        return self._memory.evictions

    def prepare(self, item: str | bytes) -> tuple[Tensors, Any]:
        """As the task inside: raises InvalidInput, PayloadTooLarge or UnsupportedMedia."""
        if len(item) < LEAST:
            return self._task.prepare(item)
        key = _key(item)
        if (found := self._memory.get(key)) is not None:
            return _copied(found[0]), found[1]
        tensors, context = self._task.prepare(item)
        self._memory.put(key, (_copied(tensors), context), _weight(tensors, context))
        return tensors, context


def _key(item: str | bytes) -> bytes:
    if isinstance(item, str):
        return b"t" + hashlib.sha256(item.encode("utf-8", "surrogatepass")).digest()
    return b"b" + hashlib.sha256(item).digest()


def _copied(tensors: Tensors) -> Tensors:
    """Of its own, so that a model that writes into its input changes nobody else's."""
    return {name: data.copy() for name, data in tensors.items()}


def _weight(tensors: Tensors, context: Any) -> int:
    size = sum(data.nbytes for data in tensors.values())
    return OVERHEAD + size + (0 if context is None else CONTEXT * size)
