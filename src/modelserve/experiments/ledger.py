"""What became of the participants, by arm: constant memory, one outcome at a time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from modelserve.domain.experiments import ExperimentSpec, OutcomeMetric
from modelserve.experiments.matching import Match
from modelserve.statistics.bounded import Sums


class Ledger:
    """The outcomes of one metric."""

    def __init__(
        self, spec: ExperimentSpec, metric: OutcomeMetric, weights: Mapping[str, float] | None = None
    ) -> None:
        """``weights``: those with which the experiment began; None: those of the spec."""
        self.metric = metric
        low, high = metric.limits
        names = [arm.name for arm in spec.arms]
        self.arms = {name: Sums(low, high) for name in names}
        weights, steady = weights or spec.weights, spec.bandit is None
        self.matches = {
            (a, b): Match(low, high, (weights[a], weights[b]), catch_up=steady)
            for a, b in combinations(names, 2)
        }
        """By (first, second) in the order of the spec: the first minus the second."""

    def add(self, arm: str, value: float) -> None:
        """The outcome of one participant. What an unknown arm did is passed over."""
        if arm not in self.arms:
            return
        self.arms[arm].add(value)
        for (first, second), match in self.matches.items():
            if arm in (first, second):
                match.add(0 if arm == first else 1, value)

    def difference(self, arm: str, other: str) -> tuple[Sums, float]:
        """The differences between two arms, and the sign that makes them ``arm`` minus ``other``."""
        match = self.matches.get((arm, other))
        return (match.differences, 1.0) if match else (self.matches[other, arm].differences, -1.0)
