"""Labels of words to labels of spans.

A label set is tagged if any label starts with ``B-`` or ``I-`` (BIO, and BIOES or BILOU with ``E-``, ``L-``,
``S-``, ``U-`` beside them); else it is plain, and each label is its own kind. ``O`` is outside of any
span. A span grows by the next word if that has the same kind and does not begin anew; so ``I-`` without
``B-`` begins one. It also grows by a part of its own last word (``York`` in ``New-York``) that has the same
kind, or none: models are trained on the first token of such words alone. A part that starts with a small
letter may say that it is outside (``based`` in ``London-based``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelserve.tasks.characters import Joint

OUTSIDE = "O"
_BEGIN = ("B", "S", "U")
_INSIDE = ("I", "E", "L")


@dataclass(frozen=True, slots=True)
class Tag:
    """What a class means for a word: the kind of span it is in (None: none), and whether it begins one."""

    kind: str | None
    begins: bool


Word = tuple[int, int, Joint]
"""Where a word, or a part of one, starts and ends, and how it hangs on to the one before it."""


@dataclass(slots=True)
class Span:
    """Neighbouring words of one kind; ``scores`` has one number for each word that said so."""

    kind: str
    start: int
    end: int
    scores: list[float]


def read_tags(labels: Sequence[str]) -> tuple[Tag, ...]:
    """The tag of every label, in order."""
    tagged = any(label.startswith(("B-", "I-")) for label in labels)
    return tuple(_tag(label, tagged) for label in labels)


def join_words(tags: Iterable[Tag], scores: Iterable[float], words: Iterable[Word]) -> list[Span]:
    """Spans in reading order, from the tag of each word, how sure it is, and its place."""
    spans: list[Span] = []
    open_kind = None
    for tag, score, (start, end, joint) in zip(tags, scores, words, strict=True):
        kind = tag.kind
        if open_kind is not None and _goes_on(tag, open_kind, joint):
            spans[-1].end = end
            if kind is None:
                continue
            spans[-1].scores.append(score)
        elif kind is not None:
            spans.append(Span(kind, start, end, [score]))
        open_kind = kind
    return spans


def _goes_on(tag: Tag, open_kind: str, joint: Joint) -> bool:
    if tag.kind == open_kind:
        return joint is not Joint.NONE or not tag.begins
    return tag.kind is None and joint is Joint.FIRM


def _tag(label: str, tagged: bool) -> Tag:
    if label == OUTSIDE:
        return Tag(None, False)
    prefix, dash, kind = label.partition("-")
    if tagged and dash and kind and prefix in (*_BEGIN, *_INSIDE):
        return Tag(kind, prefix in _BEGIN)
    return Tag(label, False)
