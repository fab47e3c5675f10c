"""Shadow answers compared so far: what is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from modelserve.domain.rollouts import PairCounts
from modelserve.statistics.wealth import Wealth

DISAGREEMENT_ODDS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Shadow answers compared so far, and the evidence that too many of them differ."""

    pairs: int
    disagreements: int
    wealth: Wealth
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Disagreements by kind."""
    repeats: int | None = None
    """Pairs to which stable answered twice; None while it is not asked to."""
    noise: int = 0
    """Of these, those in which it differed from itself."""
    beyond: int = 0
    """Of these, by how many more the candidate differed from it."""

    @classmethod
    def begin(cls) -> Self:
        return cls(0, 0, Wealth.begin(len(DISAGREEMENT_ODDS)))

    @property
    def compared(self) -> int:
        """Pairs that count: where stable is asked twice, those to which it answered twice."""
        return self.pairs if self.repeats is None else self.repeats

    def exceeds(self, limit: float) -> bool:
        """Whether the candidate differed more often than ``limit`` allows on top of stable's own noise."""
        differed = self.disagreements if self.repeats is None else self.beyond
        return differed > limit * self.compared

    def add(self, seen: PairCounts, bad: int, wealth: Wealth) -> Pairs:
        """One interval, ``bad`` of whose pairs differed."""
        repeats = self.repeats
        if seen.repeats is not None:
            repeats = (repeats or 0) + seen.repeats
        return Pairs(
            self.pairs + seen.pairs,
            self.disagreements + bad,
            wealth,
            add_kinds(self.kinds, seen.kinds),
            repeats,
            self.noise + seen.noise,
            self.beyond + seen.candidate_alone - seen.stable_alone,
        )


def add_kinds(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in {**one, **other}}
