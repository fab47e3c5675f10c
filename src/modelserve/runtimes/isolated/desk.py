"""The engine's end: takes questions from one lane and has the model answer them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from modelserve.domain.inference import Array, Tensors
from modelserve.errors import ModelFailed
from modelserve.runtimes.base import Model
from modelserve.runtimes.isolated.arena import Arena
from modelserve.runtimes.isolated.channel import INLINE, Channel, Message
from modelserve.runtimes.isolated.faults import describe_fault
from modelserve.runtimes.isolated.frames import describe, restore, size_of, write_into
from modelserve.runtimes.isolated.lane import adopt


class Desk:
    """One lane's questions, one after the other."""

    def __init__(self, model: Model, channel: Channel) -> None:
        self._model, self._channel = model, channel
        self._arenas: dict[str, Arena] = {}
        self._outputs: list[str] = []

    def serve(self) -> None:
        """Answer until the server goes away. Raises EOFError then."""
        while True:
            message = self._channel.receive()
            self._arenas |= adopt(message)
            answer = self._stream if message.head["do"] == "stream" else self._predict
            try:
                answer(message)
            except EOFError:
                raise
            except Exception as error:
                self._say({"fault": describe_fault(error)})

    def _predict(self, message: Message) -> None:
        root, tensors = self._question(message)
        answer = self._model.predict(tensors, self._outputs)
        head, buffers = self._described(answer)
        del tensors, answer
        self._channel.send(head | self._settled(root), buffers)

    def _stream(self, message: Message) -> None:
        root, tensors = self._question(message)
        pieces: Iterator[Tensors] = self._model.stream(tensors, self._outputs)  # type: ignore[attr-defined]
        del tensors
        for piece in pieces:
            head, buffers = self._described(piece)
            self._channel.send(head | {"more": True}, buffers)
            if self._channel.receive().head["do"] != "go on":
                _close(pieces)
                break
        del pieces
        self._channel.send(self._settled(root))

    def _question(self, message: Message) -> tuple[Array | None, Tensors]:
        """The tensors, and what they are views of if they lie in memory that is shared."""
        head = message.head
        self._outputs = head["outputs"]
        if head["at"] == "socket":
            return None, restore(head["tensors"], message.payload)
        root = self._arenas["questions"].view()
        return root, restore(head["tensors"], root)

    def _described(self, answer: Tensors) -> tuple[dict[str, Any], list[Array]]:
        try:
            described, buffers = describe(answer)
        except KeyError as error:
            raise ModelFailed(f"the model gave an output of {error.args[0]}, which has no name") from None
        size, arena = size_of(buffers), self._arenas.get("answers")
        if size <= INLINE or arena is None or arena.size < size:
            return {"tensors": described, "at": "socket"}, buffers
        write_into(arena.view(), buffers)
        return {"tensors": described, "at": "arena"}, []

    def _settled(self, root: Array | None) -> dict[str, Any]:
        """Whether the model holds on to its inputs, which the next question would overwrite: then they stay
        its own, and the next question comes elsewhere."""
        if root is None or sys.getrefcount(root) <= _OURS:
            return {}
        del self._arenas["questions"]
        return {"kept": True}

    def _say(self, head: Mapping[str, Any]) -> None:
        """After a failure nobody knows who still holds the inputs."""
        kept = self._arenas.pop("questions", None) is not None
        self._channel.send({**head, "kept": kept})


_OURS = 3
"""References to the inputs that are the desk's own: two variables, and the argument of ``getrefcount``."""


def _close(pieces: Iterator[Tensors]) -> None:
    """End the model's work on an answer that nobody waits for any more; what it says then is told nobody."""
    close = getattr(pieces, "close", None)
    if close is not None:
        with contextlib.suppress(Exception):
            close()
