"""Late labels: what a model predicted, what turned out to be true, and what follows from the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from modelserve.domain.guardrails import Metric

WINDOW = 10.0
"""Seconds in which labels arrive together; also the narrowest block of prediction times."""
LEVELS = 20
"""Widths of blocks that there are: each twice the one before."""
UNTOLD = -1.0
"""The weight of a prediction that fell into a change of weights: it belongs to no comparison."""


class LabelState(StrEnum):
    """What became of one label. Each value completes the sentence: the label is ..."""

    ACCEPTED = "accepted"
    """Joined with its prediction, and counted."""
    DUPLICATE = "duplicate"
    """The same as one that is here already: nothing changed."""
    CONTRADICTING = "contradicting"
    """Another value than the one that is here already, which stays."""
    UNKNOWN = "unknown"
    """Of a request whose prediction is not here: kept for a while in case it comes."""
    AMBIGUOUS = "ambiguous"
    """Of an id that two requests had, which can't be told apart."""
    UNFIT = "unfit"
    """Of another form than the prediction, such as a class for a model that finds entities."""
    MALFORMED = "malformed"
    """Not a label."""

    @property
    def refused(self) -> bool:
        return self not in (LabelState.ACCEPTED, LabelState.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a server answered to one live request."""

    request_id: str
    revision: str
    arm: str
    at: float
    """When it was answered; Unix seconds."""
    weight: float = UNTOLD
    """The candidate's share of the live traffic then, in 0..1."""
    predicted: Mapping[str, Any] = field(default_factory=dict)
    """``{"label": class}``, ``{"spans": [[label, start, end], ...]}``, or ``{}`` where neither says it."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """By the name of a segment, the part that the request belongs to."""


@dataclass(frozen=True, slots=True)
class ShadowPrediction:
    """What the candidate answered to a copy of a live request; no client has seen it."""

    request_id: str
    revision: str
    at: float
    """When it was answered; Unix seconds."""
    predicted: Mapping[str, Any] = field(default_factory=dict)
    """As of a :class:`Prediction`."""


@dataclass(frozen=True, slots=True)
class Label:
    """What turned out to be true of one request."""

    request_id: str
    value: Mapping[str, Any]
    """One of ``{"label": class}``, ``{"entities": [[label, start, end], ...]}`` (sorted), ``{"score": x}``
    with x in 0..1, ``{"correct": bool}``."""
    known: float | None = None
    """When it became known; Unix seconds. None: when it arrived."""


@dataclass(frozen=True, slots=True)
class LabelAnswer:
    """What became of one label, and why."""

    state: LabelState
    detail: str = ""


Losses = Mapping[str, float]
"""How bad a prediction was, in 0..1, by metric: ``accuracy``, ``score``, ``recall(<class>)``."""


def tells_truth(value: Mapping[str, Any]) -> bool:
    """Whether a label holds for every answer to its request; ``score`` and ``correct`` speak of one alone."""
    return "label" in value or "entities" in value


def grade(predicted: Mapping[str, Any], truth: Mapping[str, Any]) -> Losses | str:
    """How bad the prediction was; a sentence where the label says nothing about it.

    Entities are right if all of them are, and no other. A class is found to the share of its true entities
    that were: so one request is one trial, whatever it holds.
    """
    if "correct" in truth:
        return {Metric.ACCURACY.value: 0.0 if truth["correct"] else 1.0}
    if "score" in truth:
        return {Metric.SCORE.value: 1.0 - truth["score"]}
    if "label" in truth:
        return _grade_class(predicted, truth["label"])
    return _grade_entities(predicted, truth["entities"])


def _grade_class(predicted: Mapping[str, Any], label: str) -> Losses | str:
    if "label" not in predicted:
        return f"label: got a class, but {_told(predicted)}"
    wrong = float(predicted["label"] != label)
    return {Metric.ACCURACY.value: wrong, recall(label): wrong}


def _grade_entities(predicted: Mapping[str, Any], entities: Sequence[Sequence[Any]]) -> Losses | str:
    if "spans" not in predicted:
        return f"label: got entities, but {_told(predicted)}"
    found, true = {tuple(span) for span in predicted["spans"]}, {tuple(span) for span in entities}
    losses = {Metric.ACCURACY.value: float(found != true)}
    for label in {span[0] for span in true}:
        mine = {span for span in true if span[0] == label}
        losses[recall(label)] = len(mine - found) / len(mine)
    return losses


def _told(predicted: Mapping[str, Any]) -> str:
    if "label" in predicted:
        return "this model predicts a class: send a string"
    if "spans" in predicted:
        return "this model finds entities: send a list of {label, start, end}"
    return "what was predicted is no class and no entities: send score or correct instead"


def recall(label: str) -> str:
    """The key of a class' recall, as guardrails tell it."""
    return f"{Metric.RECALL.value}({label})"


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """Labels that may be compared: of predictions made in one block of time, under one weight, that arrived
    in one window of time. So both arms' predictions had the same time to get a label in.

    A block is about as wide as its labels are old, so that a week's labels are few cells.
    """

    window: int
    level: int
    """The block is ``WINDOW * 2**level`` seconds wide; its labels are at least as old, but for level 0."""
    block: int
    weight: float

    @property
    def began(self) -> float:
        """When the first of its predictions can have been made; Unix seconds."""
        return self.block * WINDOW * float(1 << self.level)

    @classmethod
    def of(cls, predicted: float, joined: float, weight: float) -> Cell:
        """Where a label belongs that was joined at ``joined`` with a prediction of ``predicted``."""
        octaves = int(max(joined - predicted, WINDOW) / WINDOW).bit_length() - 1
        level = min(octaves, LEVELS - 1)
        return cls(int(joined // WINDOW), level, int(predicted // (WINDOW * 2**level)), weight)


@dataclass(frozen=True, slots=True)
class CellCount:
    """What the labels of one cell say of one revision's predictions, by metric and part of a segment."""

    revision: str
    arm: str
    metric: str
    part: str
    """``""`` for all, or ``<segment>=<part>``."""
    n: int
    bad: float


@dataclass(frozen=True, slots=True)
class LabelSums:
    """What is stored for one service, for people."""

    predictions: int = 0
    oldest: float | None = None
    """When the oldest prediction was made; Unix seconds."""
    newest: float | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    """Stored labels by state."""
    counts: Sequence[CellCount] = ()
    """Sums over all cells, without segments."""
