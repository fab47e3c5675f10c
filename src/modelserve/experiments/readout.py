"""What the outcomes of one metric say at this moment, and with which certainty.

Of one metric, all differences between arms lie within their intervals at all times with the stated
confidence: each of the k (k - 1) / 2 pairs gets its part of the error (union bound). The arms' own intervals
hold together likewise: each gets its k-th part. A rate's is the beta-binomial mixture of Robbins, a mean's
the empirical-Bernstein bound; see ``statistics.confidence`` and ``statistics.bounded``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from modelserve.domain.experiments import Direction, MetricKind
from modelserve.experiments.ledger import Ledger
from modelserve.statistics import bounded, confidence
from modelserve.statistics.bounded import Sums


class Conclusion(StrEnum):
    """What the readout ends with."""

    WINNER = "winner"
    """One arm is better than the control, and none is better than it by more than the margin; or the control
    is better than every other arm."""
    NO_DIFFERENCE = "no difference beyond the margin"
    """Every difference between two arms lies within the margin."""
    UNDECIDED = "undecided"
    """Neither yet."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between its limits; None: no estimate yet."""

    estimate: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmReading:
    name: str
    outcomes: int
    value: Interval
    difference: Interval | None
    """Against the control, in the metric's unit; None for the control itself."""


@dataclass(frozen=True, slots=True)
class MetricReading:
    name: str
    arms: tuple[ArmReading, ...]
    """In the order of the spec: the control first."""
    conclusion: Conclusion
    winner: str = ""


def read(ledger: Ledger, error: float) -> MetricReading:
    """``error`` is 1 - confidence."""
    names = list(ledger.arms)
    control = names[0]
    pairs = {
        (a, b): _difference(ledger, a, b, error / len(ledger.matches)) for a in names for b in names if a != b
    }
    arms = tuple(
        ArmReading(
            name,
            ledger.arms[name].n,
            _value(ledger.metric.kind, ledger.arms[name], error / len(names)),
            pairs.get((name, control)),
        )
        for name in names
    )
    conclusion, winner = _conclude(names, _leads(ledger, pairs), ledger.metric.tolerance)
    return MetricReading(ledger.metric.name, arms, conclusion, winner)


def _value(kind: MetricKind, sums: Sums, error: float) -> Interval:
    find = bounded.limits(sums, error)
    if kind is MetricKind.RATE:
        find = confidence.limits(sums.total, sums.n, error)
    return Interval(sums.mean, *find)


def _difference(ledger: Ledger, arm: str, other: str, error: float) -> Interval:
    sums, sign = ledger.difference(arm, other)
    ends = sorted(sign * end for end in bounded.limits(sums, error))
    means = ledger.arms[arm].mean, ledger.arms[other].mean
    estimate = None if None in means or not sums.n else sign * (sums.mean or 0.0)
    return Interval(estimate, *ends)


Pairs = dict[tuple[str, str], tuple[float, float]]
"""By (arm, other): least and largest lead of the arm, in the direction that is better."""


def _leads(ledger: Ledger, pairs: dict[tuple[str, str], Interval]) -> Pairs:
    if ledger.metric.direction is Direction.UP:
        return {pair: (found.low, found.high) for pair, found in pairs.items()}
    return {pair: (-found.high, -found.low) for pair, found in pairs.items()}


def _conclude(names: list[str], leads: Pairs, margin: float) -> tuple[Conclusion, str]:
    winners = [name for name in names if _wins(name, names, leads, margin)]
    if winners:
        best = max(winners, key=lambda name: sum(leads[name, other][0] for other in names if other != name))
        return Conclusion.WINNER, best
    if all(-margin <= low and high <= margin for low, high in leads.values()):
        return Conclusion.NO_DIFFERENCE, ""
    return Conclusion.UNDECIDED, ""


def _wins(name: str, names: list[str], leads: Pairs, margin: float) -> bool:
    least = {other: leads[name, other][0] for other in names if other != name}
    control = names[0]
    if name == control:
        return all(lead > 0 for lead in least.values())
    return least[control] > 0 and all(lead >= -margin for lead in least.values())
