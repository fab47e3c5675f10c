"""What a label of the same request is compared with: the class, or the entities, of one answer. No text of
the input is in it.
"""

from __future__ import annotations

from typing import Any

from modelserve.domain.inference import Array, Entity, InferenceResponse, Label

MOST_SPANS = 256
"""Entities of one answer; of a longer one nothing is remembered: half of it would look wrong."""
MOST_LETTERS = 256
"""Letters of a class."""
MOST_CLASSES = 10_000
"""Values in a row up to which they are taken for the scores of classes."""


def predicted(response: InferenceResponse) -> dict[str, Any]:
    """``{"label": class}`` or ``{"spans": [[label, start, end], ...]}``; ``{}`` where neither says it:
    several items in one request, numbers that stand for no class.

    Of tensors, a lone whole number or text is the class; so is the place of the largest of a row of numbers.
    """
    if response.answers is not None:
        return _of_answer(response.answers[0]) if len(response.answers) == 1 else {}
    if response.tensors is None or len(response.tensors) != 1:
        return {}
    return _of_tensor(next(iter(response.tensors.values())))


def _of_answer(answer: tuple[Entity, ...] | tuple[Label, ...]) -> dict[str, Any]:
    if answer and isinstance(answer[0], Label):
        return {"label": _clean(answer[0].label)}
    if len(answer) > MOST_SPANS:
        return {}
    return {"spans": [[_clean(e.label), e.start, e.end] for e in answer if isinstance(e, Entity)]}


def _of_tensor(data: Array) -> dict[str, Any]:
    if data.size == 1 and data.dtype.kind in "OSUiub":
        value = data.reshape(-1)[0]
        return {"label": _clean(value.decode(errors="replace") if isinstance(value, bytes) else str(value))}
    if data.dtype.kind == "f" and data.ndim == 2 and data.shape[0] == 1 and 2 <= data.size <= MOST_CLASSES:
        return {"label": str(int(data[0].argmax()))}
    return {}


def _clean(label: str) -> str:
    """As labels may be sent, and every database can keep it."""
    return label[:MOST_LETTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
