"""The server's end: one batch, or one stream of answers, at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from modelserve.domain.inference import Tensors
from modelserve.runtimes.isolated.arena import Arena, roomy, sealed_file
from modelserve.runtimes.isolated.channel import INLINE, Channel, Message, close_all
from modelserve.runtimes.isolated.faults import restore_fault
from modelserve.runtimes.isolated.frames import describe, padded, restore, size_of, write_into


class Lane:
    """Asks the other process. Raises what the model there raised, EOFError if it is gone, and TimeoutError
    if it does not answer in time."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._questions: Arena | None = None
        self._answers: Arena | None = None
        self._largest = 0
        """Bytes of the largest answer that had to come through the socket."""

    def predict(self, tensors: Tensors, outputs: Sequence[str]) -> Tensors:
        self._ask({"do": "predict", "outputs": list(outputs)}, tensors)
        return self._answer(self.channel.receive())

    def stream(self, tensors: Tensors, outputs: Sequence[str]) -> Iterator[Tensors]:
        """One piece for each time that it is asked; the lane is busy until the iterator ends or is closed."""
        self._ask({"do": "stream", "outputs": list(outputs)}, tensors)
        try:
            while (message := self.channel.receive()).head.get("more", False):
                yield self._answer(message)
                self.channel.send({"do": "go on"})
            self._answer(message)
        except GeneratorExit:
            self.channel.send({"do": "enough"})
            self.channel.receive()
            raise

    def _ask(self, head: dict[str, Any], tensors: Tensors) -> None:
        described, buffers = describe(tensors)
        size = size_of(buffers)
        fresh: dict[str, int] = {}
        try:
            if size > INLINE:
                self._questions = self._with_room(self._questions, size, "questions", fresh)
                write_into(self._questions.view(), buffers)
                buffers = []
            if self._largest:
                self._answers = self._with_room(self._answers, self._largest, "answers", fresh)
            news = {name: arena.size for name, arena in self._arenas() if name in fresh}
            where = "arena" if size > INLINE else "socket"
            whole = {**head, "tensors": described, "at": where, "size": size, "new": news}
            self.channel.send(whole, buffers, [fresh[name] for name in news])
        except BaseException:
            self._questions = self._answers = None  # a new arena may not have got there; the next one will
            raise
        finally:
            close_all(fresh.values())

    def _arenas(self) -> Iterator[tuple[str, Arena]]:
        for name, arena in (("questions", self._questions), ("answers", self._answers)):
            if arena is not None:
                yield name, arena

    def _with_room(self, arena: Arena | None, size: int, name: str, fresh: dict[str, int]) -> Arena:
        """The arena if it is large enough, else a new one; ``fresh`` gets its file, to be sent along."""
        if arena is not None and arena.size >= size:
            return arena
        fresh[name] = sealed_file(roomy(size))
        return Arena(fresh[name], roomy(size))

    def _answer(self, message: Message) -> Tensors:
        head = message.head
        if head.get("kept"):  # somebody there holds on to what lies in it
            self._questions = None
        if "fault" in head:
            raise restore_fault(head["fault"])
        payload = message.payload
        described = head.get("tensors", ())
        size = sum(padded(entry[3]) for entry in described)
        if head.get("at") == "arena" and self._answers is not None:
            payload = self._answers.view()[:size].copy()
        elif size > INLINE:
            self._largest = max(self._largest, size)
        return restore(described, payload)


def adopt(message: Message) -> dict[str, Arena]:
    """The arenas that came with a message."""
    arenas = {}
    for (name, size), descriptor in zip(message.head["new"].items(), message.descriptors, strict=True):
        arenas[name] = Arena(descriptor, size)
        with contextlib.suppress(OSError):
            os.close(descriptor)
    return arenas
