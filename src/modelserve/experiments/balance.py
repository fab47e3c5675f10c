"""Whether the participants were divided as told; if not, nothing else that an experiment says can be trusted.

The multinomial test that may be looked at all the time (Lindon & Malek, NeurIPS 2022, arXiv 2011.03567), with
a mixture of plain alternatives: one arm gets ``tilt`` times the participants that it should. Only counts are
needed, also where the weights changed on the way: each set of weights has its own chances, and the evidence
against them multiplies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from math import exp, inf, log

from modelserve.domain.participants import Census

ALPHA = 1e-3
"""Chance that a fair division is ever called unfair."""
TILTS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.02, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Balance:
    """How many participants each arm has, how many it should have, and the evidence against chance."""

    observed: dict[str, int]
    expected: dict[str, float]
    evidence: float
    """Natural logarithm of the e-value."""

    @property
    def is_fair(self) -> bool:
        return self.evidence < log(1 / ALPHA)


def parse_weights(text: str) -> dict[str, float]:
    """``"a=5000,b=5000"`` -> ``{"a": 0.5, "b": 0.5}``. Raises ValueError."""
    slots = {arm: int(size) for arm, _, size in (part.partition("=") for part in text.split(","))}
    total = sum(slots.values())
    if total <= 0:
        raise ValueError(f"no weights in {text!r}")
    return {arm: size / total for arm, size in slots.items()}


def balance(census: Census, arms: Iterable[str]) -> Balance:
    """Counts of arms under each set of weights -> whether chance explains them."""
    names = list(arms)
    counted = [(parse_weights(weights), arm, count) for weights, arm, count in census.counts]
    observed = dict.fromkeys(names, 0)
    expected = dict.fromkeys(names, 0.0)
    for weights, arm, count in counted:
        observed[arm] = observed.get(arm, 0) + count
        for name in names:
            expected[name] += count * weights.get(name, 0.0)
    return Balance(observed, expected, _evidence(counted, names))


Counted = tuple[dict[str, float], str, int]


def _evidence(counted: list[Counted], names: list[str]) -> float:
    """Half of the stake on an arm that is off under all weights, half on one that is so under some of them.

    The j-th set of weights has 1/(j(j+1)) of the latter half; sets that are yet to come hold the rest as 1.
    """
    if any(count and not weights.get(arm) for weights, arm, count in counted):
        return inf  # an arm without a share has participants
    sets = [list(group) for _, group in groupby(counted, key=lambda one: one[0])]
    stakes = [0.5, *(0.5 / (j * (j + 1)) for j in range(1, len(sets) + 1))]
    logs = [log(0.5 / (len(sets) + 1))]
    for stake, part in zip(stakes, (counted, *sets), strict=True):
        logs += [log(stake / (len(names) * len(TILTS))) + value for value in _alternatives(part, names)]
    top = max(logs)
    return top + log(sum(exp(value - top) for value in logs))


def _alternatives(counted: list[Counted], names: list[str]) -> list[float]:
    """log likelihood ratio of each alternative: a name that gets more or less than its share."""
    return [
        sum(count * _factor(weights, arm, name, tilt) for weights, arm, count in counted)
        for name in names
        for tilt in TILTS
    ]


def _factor(weights: dict[str, float], arm: str, tilted: str, tilt: float) -> float:
    """log of how much likelier ``arm`` is if ``tilted`` gets ``tilt`` times its share."""
    share = weights.get(tilted, 0.0)
    return (log(tilt) if arm == tilted else 0.0) - log(tilt * share + 1 - share)
