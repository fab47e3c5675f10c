"""Labels of words to labels of spans.

A label set is tagged if any label starts with ``B-`` or ``I-`` (BIO, and BIOES or BILOU with ``E-``, ``L-``,
``S-``, ``U-`` beside them); else it is plain, and each label is its own kind. ``O`` is outside of any
span. A span grows by the next word if that has the same kind and does not begin anew; so ``I-`` without
``B-`` begins one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OUTSIDE = "O"
_BEGIN = ("B", "S", "U")
_INSIDE = ("I", "E", "L")


@dataclass(frozen=True, slots=True)
class Tag:
    """What a class means for a word: the kind of span it is in (None: none), and whether it begins one."""

    kind: str | None
    begins: bool


@dataclass(slots=True)
class Span:
    """Neighbouring words of one kind; ``scores`` has one number per word."""

    kind: str
    start: int
    end: int
    scores: list[float]


def read_tags(labels: Sequence[str]) -> tuple[Tag, ...]:
    """The tag of every label, in order."""
    tagged = any(label.startswith(("B-", "I-")) for label in labels)
    return tuple(_tag(label, tagged) for label in labels)


def join_words(tags: Iterable[Tag], scores: Iterable[float], places: Iterable[tuple[int, int]]) -> list[Span]:
    """Spans in reading order, from the tag of each word, how sure it is, and its start and end."""
    spans: list[Span] = []
    open_kind = None
    for tag, score, (start, end) in zip(tags, scores, places, strict=True):
        kind = tag.kind
        if kind is not None and kind == open_kind and not tag.begins:
            spans[-1].end = end
            spans[-1].scores.append(score)
        elif kind is not None:
            spans.append(Span(kind, start, end, [score]))
        open_kind = kind
    return spans


def _tag(label: str, tagged: bool) -> Tag:
    if label == OUTSIDE:
        return Tag(None, False)
    prefix, dash, kind = label.partition("-")
    if tagged and dash and kind and prefix in (*_BEGIN, *_INSIDE):
        return Tag(kind, prefix in _BEGIN)
    return Tag(label, False)
