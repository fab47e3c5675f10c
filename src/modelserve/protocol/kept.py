"""Answers as they are kept in a cache: the key of a question, and an answer as bytes that prove themselves.

A question's key covers everything that its answer depends on, and nothing of the protocol that it came by.
A kept answer is ``check | length of head | head as JSON | the tensors' bytes``; ``check`` covers the key,
too, so that neither a damaged value nor one that landed under another key is ever taken for an answer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from modelserve.domain.inference import Array, Entity, InferenceRequest, InferenceResponse, Label, Tensors

VERSION = b"1"
"""Of this module's bytes; counted up with every change of them, so that old values are no longer found."""

_CHECK = 16
_HEAD = _CHECK + 4
_KINDS: dict[str, type[Entity] | type[Label]] = {"entity": Entity, "label": Label}
_NAMES = {kind: name for name, kind in _KINDS.items()}


Answers = tuple[Any, ...]


class Unkeepable(ValueError):
    """A question or an answer that has no bytes here, or an answer that no client should get twice."""


def context(facts: Mapping[str, object]) -> bytes:
    """What all questions to one server have in common (its model, its settings), for :func:`key`."""
    told = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS, default=str)
    return hashlib.sha256(VERSION + told).digest()


def key(shared: bytes, request: InferenceRequest) -> str:
    """The sha256, in hex, of one question; equal for equal questions, whatever the protocol.

    Raises Unkeepable.
    """
    whole = hashlib.sha256(shared)
    for part in _parts(request):
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.hexdigest()


def _parts(request: InferenceRequest) -> Iterator[bytes | memoryview]:
    """The question cut so that no two questions give the same parts."""
    yield orjson.dumps(request.outputs)
    for item in request.items or ():
        text = isinstance(item, str)
        yield b"text" if text else b"bytes"
        yield item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item
    for name, data in sorted((request.tensors or {}).items()):
        yield f"{name}\0{data.dtype.str}\0{data.shape}".encode("utf-8", "surrogatepass")
        yield from _elements(data)


def _elements(data: Array) -> Iterator[bytes | memoryview]:
    if data.dtype.kind != "O":
        yield np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
        return
    for element in data.reshape(-1):
        if not isinstance(element, bytes):
            raise Unkeepable(f"a tensor of {type(element).__name__}")
        yield element


def pack(key: str, response: InferenceResponse) -> bytes:
    """An answer as bytes, to be kept under ``key``. Raises Unkeepable."""
    head: dict[str, Any] = {}
    buffers: list[bytes] = []
    if response.tensors is not None:
        head["tensors"] = [_pack_tensor(name, data, buffers) for name, data in response.tensors.items()]
    if response.answers is not None:
        head["answers"] = [[_pack_part(part) for part in answer] for answer in response.answers]
    try:
        told = orjson.dumps(head)
    except TypeError as error:
        raise Unkeepable(str(error)) from error
    body = b"".join([len(told).to_bytes(4, "little"), told, *buffers])
    return _check(key, body) + body


def unpack(key: str, value: bytes) -> tuple[Tensors | None, Answers | None] | None:
    """The tensors and the answers that :func:`pack` kept under ``key``; None for anything else.

    Arrays are views of ``value`` and can't be written to.
    """
    content = memoryview(value)
    if len(value) < _HEAD or content[:_CHECK] != _check(key, content[_CHECK:]):
        return None
    end = _HEAD + int.from_bytes(content[_CHECK:_HEAD], "little")
    head = orjson.loads(content[_HEAD:end])
    tensors, answers = head.get("tensors"), head.get("answers")
    return (
        None if tensors is None else _unpack_tensors(tensors, content[end:]),
        None if answers is None else tuple(tuple(map(_unpack_part, parts)) for parts in answers),
    )


def _check(key: str, body: bytes | memoryview) -> bytes:
    whole = hashlib.sha256(VERSION + key.encode())
    whole.update(body)
    return whole.digest()[:_CHECK]


def _pack_tensor(name: str, data: Array, buffers: list[bytes]) -> list[Any]:
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise Unkeepable(f'"{name}" holds NaN or infinity')
    if data.dtype.kind != "O":
        buffers.append(data.tobytes())
        return [name, data.dtype.str, data.shape, len(buffers[-1])]
    elements = list(data.reshape(-1))
    if not all(isinstance(element, bytes) for element in elements):
        raise Unkeepable(f'"{name}" holds more than bytes')
    buffers += elements
    return [name, "O", data.shape, [len(element) for element in elements]]


def _unpack_tensors(told: list[Any], content: memoryview) -> Tensors:
    tensors: Tensors = {}
    for name, dtype, shape, sizes in told:
        if dtype == "O":
            elements = np.empty(len(sizes), object)
            for index, size in enumerate(sizes):
                elements[index], content = bytes(content[:size]), content[size:]
            tensors[name] = elements.reshape(shape)
            continue
        tensors[name] = np.frombuffer(content[:sizes], dtype).reshape(shape)
        content = content[sizes:]
    return tensors


def _pack_part(part: Entity | Label) -> list[Any]:
    if type(part) not in _NAMES or type(part.score) is not float or not math.isfinite(part.score):
        raise Unkeepable(f"an answer of {part!r}")
    return [_NAMES[type(part)], *(getattr(part, name) for name in part.__slots__)]


def _unpack_part(told: list[Any]) -> Entity | Label:
    kind, *fields = told
    return _KINDS[kind](*fields)
