"""Messages between a worker and the engine: a prefix, a head in JSON and raw buffers, as in
:mod:`modelserve.runtimes.isolated.frames`.

Many calls are under way on one connection, told apart by the ``id`` that the worker gives them. Nothing is
pickled. The head says with ``do`` what a worker wants:

======== =========================================================================================
ask      run a call; the answer has its ``id`` and tensors, answers or a ``fault``
stream   run a call; each answer with its ``id`` is a piece, until one says ``end`` or has a ``fault``
next     one more piece of stream ``id`` is wanted
cancel   the client of call ``id`` is gone
model    which model answers for a name; the answer has its ``id`` and ``served`` or a ``fault``
count    a call came to its end: ``how``, with the arguments of that method of the telemetry
sample   keep a sampled answer
======== =========================================================================================

The engine says ``changed`` when other models answer than before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from pydantic import TypeAdapter

from modelserve.domain.inference import (
    Array,
    CacheOutcome,
    CacheUse,
    Entity,
    InferenceRequest,
    InferenceResponse,
    Label,
    Priority,
    Signature,
    Tensors,
)
from modelserve.runtimes.isolated.frames import PREFIX, describe, restore, size_of, write_into

Head = Mapping[str, Any]
Heard = Callable[[Head, Array], None]
_SIGNATURES: TypeAdapter[Signature] = TypeAdapter(Signature)
_ITEMS = "items"


def written(head: Head, buffers: Sequence[Array] = ()) -> list[bytes | memoryview]:
    """One message as the pieces to be sent."""
    text, size = orjson.dumps(head), size_of(buffers)
    begin = PREFIX.pack(len(text), size) + text
    if not size:
        return [begin]
    payload = np.empty(size, np.uint8)
    write_into(payload, buffers)
    return [begin, payload.data]


class Reader:
    """Puts messages together from what a socket gives; ``heard`` gets each, with a payload of its own."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._rest = b""
        self._head: Head = {}
        self._payload: Array | None = None
        self._filled = 0

    def feed(self, data: bytes) -> None:
        content = memoryview(self._rest + data if self._rest else data)
        self._rest = b""
        while len(content) or self._payload is not None:
            if self._payload is None:
                begin = _begin(content)
                if begin is None:
                    self._rest = bytes(content)
                    return
                self._head, size, content = begin
                self._payload, self._filled = np.empty(size, np.uint8), 0
            content = self._fill(self._payload, content)
            if self._filled < self._payload.nbytes:
                return
            payload, self._payload = self._payload, None
            self._heard(self._head, payload)

    def _fill(self, payload: Array, content: memoryview) -> memoryview:
        part = content[: payload.nbytes - self._filled]
        payload.data[self._filled : self._filled + len(part)] = part
        self._filled += len(part)
        return content[len(part) :]


def _begin(content: memoryview) -> tuple[Head, int, memoryview] | None:
    """A message's head, the bytes of its payload, and what follows; None if more of it is to come."""
    if len(content) < PREFIX.size:
        return None
    length, size = PREFIX.unpack_from(content)
    end = PREFIX.size + length
    if len(content) < end:
        return None
    return orjson.loads(content[PREFIX.size : end]), size, content[end:]


def ask(do: str, request: InferenceRequest) -> tuple[dict[str, Any], list[Array]]:
    """A request as a head without its ``id``, and buffers."""
    head: dict[str, Any] = {
        "do": do,
        "model": request.model,
        "revision": request.revision,
        "request": request.request_id,
        "outputs": request.outputs,
        "left": None if request.deadline is None else request.deadline - time.monotonic(),
        "cache": request.cache.value,
        "priority": int(request.priority),
    }
    if request.tensors is not None:
        head["tensors"], buffers = describe(request.tensors)
        return head, buffers
    items = request.items or ()
    head["texts"] = [isinstance(item, str) for item in items]
    head["tensors"], buffers = describe({_ITEMS: _as_bytes(items)})
    return head, buffers


def asked(head: Head, payload: Array) -> InferenceRequest:
    """The request of a message; its deadline is a reading of this process's clock."""
    tensors: Tensors | None = restore(head["tensors"], payload)
    items = None
    if "texts" in head:
        items, tensors = _from_bytes(head["texts"], (tensors or {})[_ITEMS]), None
    return InferenceRequest(
        model=head["model"],
        request_id=head["request"],
        tensors=tensors,
        items=items,
        outputs=tuple(head["outputs"]),
        revision=head["revision"],
        deadline=None if head["left"] is None else time.monotonic() + head["left"],
        cache=CacheUse(head["cache"]),
        priority=Priority(head["priority"]),
    )


def answer(response: InferenceResponse) -> tuple[dict[str, Any], list[Array]]:
    """A response as a head without its ``id``, and buffers. Raises KeyError for a dtype without a name."""
    head: dict[str, Any] = {"model": response.model, "revision": response.revision, "cache": response.cache}
    buffers: list[Array] = []
    if response.answers is not None:
        head["answers"] = [[_told(part) for part in parts] for parts in response.answers]
    if response.tensors is not None:
        head["tensors"], buffers = describe(response.tensors)
    return head, buffers


def answered(head: Head, payload: Array, request_id: str) -> InferenceResponse:
    answers, tensors = head.get("answers"), head.get("tensors")
    return InferenceResponse(
        head["model"],
        head["revision"],
        request_id,
        None if tensors is None else restore(tensors, payload),
        None if answers is None else tuple(tuple(map(_part, parts)) for parts in answers),
        None if head["cache"] is None else CacheOutcome(head["cache"]),
    )


def signature(told: Any) -> Signature:
    return _SIGNATURES.validate_python(told, strict=False)


def describe_signature(given: Signature) -> Any:
    return _SIGNATURES.dump_python(given, mode="json")


def _as_bytes(items: Sequence[str | bytes]) -> Array:
    packed = np.empty(len(items), np.object_)
    packed[:] = [item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item for item in items]
    return packed


def _from_bytes(texts: Sequence[bool], items: Array) -> tuple[str | bytes, ...]:
    return tuple(
        item.decode("utf-8", "surrogatepass") if text else item
        for text, item in zip(texts, items, strict=True)
    )


def _told(part: Entity | Label) -> list[Any]:
    if isinstance(part, Label):
        return [part.label, part.score]
    return [part.label, part.score, part.text, part.start, part.end]


def _part(told: Sequence[Any]) -> Any:
    label, score, *rest = told
    score = float("nan") if score is None else score  # JSON has no word for it
    if not rest:
        return Label(label, score)
    text, start, end = rest
    return Entity(text, label, score, start, end)
