"""From joined answers to counts, and to the pairs that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelserve.domain.differences import Difference
from modelserve.domain.rollouts import PairCounts
from modelserve.observers.base import Subject
from modelserve.observers.comparing import Comparing
from modelserve.observers.differences import Differing
from modelserve.observers.joining import Joined

LATE = 1.0
"""Seconds between the halves of a pair from which it counts as late."""


@dataclass
class _Sums:
    pairs: int = 0
    disagreements: int = 0
    failures: int = 0
    late: int = 0
    repeats: int = 0
    noise: int = 0
    candidate_alone: int = 0
    stable_alone: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, pair: Joined, found: Difference, noise: Difference | None) -> None:
        self.pairs += 1
        self.disagreements += not found.is_none
        self.failures += pair.candidate["answer"] is None
        self.late += abs(pair.candidate.get("at", 0.0) - pair.stable.get("at", 0.0)) > LATE
        self.kinds.update(found.kinds.keys())
        if noise is not None:
            self.repeats += 1
            self.noise += not noise.is_none
            self.candidate_alone += noise.is_none and not found.is_none
            self.stable_alone += found.is_none and not noise.is_none

    def counts(self, repeats: bool) -> PairCounts:
        return PairCounts(
            pairs=self.pairs,
            disagreements=self.disagreements,
            candidate_failures=self.failures,
            kinds=dict(self.kinds),
            late=self.late,
            repeats=self.repeats if repeats else None,
            noise=self.noise,
            candidate_alone=self.candidate_alone,
            stable_alone=self.stable_alone,
        )


async def tally(
    joined: Sequence[Joined], subject: Subject, comparing: Comparing
) -> tuple[PairCounts, list[Differing]]:
    """What stable could not answer says nothing about the candidate. Raises Unavailable if the owner's own
    function can't be asked."""
    pairs = [pair for pair in joined if pair.stable["answer"] is not None]
    again = [pair for pair in pairs if subject.repeats and pair.repeat and pair.repeat["answer"] is not None]
    asked = [(pair.stable["answer"], pair.candidate["answer"]) for pair in pairs]
    asked += [(pair.stable["answer"], pair.repeat["answer"]) for pair in again if pair.repeat]
    found = await comparing.compare(asked, subject.shadow)
    noises = dict(zip((id(pair) for pair in again), found[len(pairs) :], strict=True))
    sums, differing = _Sums(), []
    for pair, difference in zip(pairs, found, strict=False):
        noise = noises.get(id(pair))
        sums.add(pair, difference, noise)
        if not difference.is_none:
            differing.append(_differing(pair, difference, noise))
    return sums.counts(subject.repeats), differing


def _differing(pair: Joined, found: Difference, noise: Difference | None) -> Differing:
    return Differing(
        id=pair.stable["id"],
        at=pair.stable.get("at", 0.0),
        difference=found,
        noisy=noise is not None and not noise.is_none,
        input=pair.stable.get("input"),
        stable=pair.stable["answer"],
        candidate=pair.candidate["answer"],
        status=pair.candidate["status"],
    )
