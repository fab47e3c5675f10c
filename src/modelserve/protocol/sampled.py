"""What is remembered of an answer so that two revisions' answers to one request can be compared.

Two answers agree when these are equal (labels, spans) or near (numbers). No text of the input is in them.
Of a large answer only the beginning is remembered, by the same rule for both. What is remembered of a
request, where anything may be, is for people who look at answers that differ: a text's beginning, else a
digest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from modelserve.domain.inference import (
    Array,
    DataType,
    Entity,
    InferenceRequest,
    InferenceResponse,
    Label,
    Tensors,
)

KEPT = 1024
"""Spans, labels or values kept of one answer."""
KEPT_LETTERS = 256
"""Letters kept of a string in a tensor."""
KEPT_TEXT = 4096
"""Letters kept of all texts of a request."""
KEPT_IMAGES = 16
"""Images of a request of which a digest is kept."""
KEPT_VALUES = 16
"""Elements kept of all input tensors of a request."""


def canonical(response: InferenceResponse) -> dict[str, Any]:
    """JSON-serialisable, also where the client was told in bytes what JSON cannot say."""
    if response.answers is None:
        return {"kind": "tensors", "outputs": _outputs(response.tensors or {})}
    if any(isinstance(part, Label) for answer in response.answers for part in answer):
        best = [answer[0] for answer in response.answers[:KEPT]]
        return {
            "kind": "labels",
            "items": [part.label for part in best],
            "scores": [round(float(part.score), 6) for part in best],
        }
    return {"kind": "entities", "items": _spans(response.answers[:KEPT])}


def asked(request: InferenceRequest) -> dict[str, Any]:
    """JSON-serialisable, a few thousand letters at most."""
    if request.items is None:
        return {"kind": "tensors", "inputs": _inputs(request.tensors or {})}
    texts = [item for item in request.items if isinstance(item, str)]
    if texts:
        return {"kind": "texts", "items": _beginnings(texts)}
    images = [item for item in request.items[:KEPT_IMAGES] if isinstance(item, bytes)]
    return {"kind": "images", "items": [{"bytes": len(image), "digest": _digest(image)} for image in images]}


def _beginnings(texts: Iterable[str]) -> list[str]:
    left, kept = KEPT_TEXT, []
    for text in texts:
        if left <= 0:
            break
        kept.append(text[:left])
        left -= max(len(text), 1)
    return kept


def _inputs(tensors: Tensors) -> dict[str, Any]:
    kept, left = {}, KEPT_VALUES
    for name, data in tensors.items():
        head = _tensor(data, left)
        whole = repr(data.tolist()).encode() if data.dtype == object else data.tobytes()
        kept[name] = head | {"datatype": DataType.of(data.dtype).value, "digest": _digest(whole)}
        left -= len(head["data"])
    return kept


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def _outputs(tensors: Tensors) -> dict[str, Any]:
    left, kept = KEPT, {}
    for name, data in tensors.items():
        kept[name] = _tensor(data, left)
        left -= len(kept[name]["data"])
    return kept


def _tensor(data: Array, most: int) -> dict[str, Any]:
    return {"shape": list(data.shape), "data": [_value(value) for value in data.reshape(-1)[:most].tolist()]}


def _value(value: Any) -> Any:
    """What JSON can say of an element; numbers that it cannot say become words, equal only to themselves."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value[: 4 * KEPT_LETTERS].decode(errors="backslashreplace")[:KEPT_LETTERS]
    return value[:KEPT_LETTERS] if isinstance(value, str) else value


def _spans(answers: Iterable[tuple[Entity, ...] | tuple[Label, ...]]) -> list[list[list[Any]]]:
    """By item, until as many as are kept."""
    left, items = KEPT, []
    for answer in answers:
        spans = [[part.label, part.start, part.end] for part in answer[:left] if isinstance(part, Entity)]
        left -= len(spans)
        items.append(spans)
    return items
