"""How two answers to one request can differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DifferenceKind(StrEnum):
    """Each value completes the sentence: the candidate's answer has another ..., or is ..."""

    LABEL = "label"
    """Another class."""
    SCORE = "score"
    """The same class, with a score that moved beyond the tolerance."""
    BOUNDARY = "boundary"
    """An entity that overlaps stable's, but begins or ends elsewhere."""
    TYPE = "type"
    """An entity at (or overlapping) the place of stable's, with another label."""
    MISSING = "missing"
    """No entity where stable has one."""
    EXTRA = "extra"
    """An entity where stable has none."""
    VALUE = "value"
    """Elements of a tensor beyond the tolerances."""
    SHAPE = "shape"
    """Other outputs, another shape, or another number of items."""
    FORM = "form"
    """Another form altogether, such as tensors in the place of labels."""
    FAILURE = "failure"
    """An error, where stable answered."""
    CUSTOM = "custom"
    """Different by the owner's own function."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two answers to one request; nothing if they agree."""

    kinds: Mapping[str, int] = field(default_factory=dict)
    """By kind, how many parts (entities, items, elements) differ."""
    score: float = 0.0
    """How much they differ, in 0..1; orders differences, and means nothing else."""

    @property
    def is_none(self) -> bool:
        return not self.kinds
