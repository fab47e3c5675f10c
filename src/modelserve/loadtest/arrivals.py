"""When the requests of an open loop are due, in seconds after its start."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

from modelserve.loadtest.plans import Plan


def due(plan: Plan) -> Iterator[float]:
    """The due times of one part of an open loop, in order and without end.

    Constant ones keep half a step's distance from whole seconds, where the counting may begin or end.
    """
    assert plan.rate is not None  # noqa: S101 - only open loops ask
    if plan.arrivals == "constant":
        return constant(plan.rate, (plan.part + 0.5) / plan.parts)
    return poisson(plan.rate, random.Random(f"{plan.seed}/{plan.part}"))  # noqa: S311 - no secret


def constant(rate: float, phase: float) -> Iterator[float]:
    """Evenly spaced; parts whose phases are evenly spaced in 0..1 together are evenly spaced too."""
    return ((number + phase) / rate for number in count())


def poisson(rate: float, source: random.Random) -> Iterator[float]:
    """As independent people ask: the gaps are exponential. The sum of such processes is one again."""
    now = 0.0
    while True:
        now += source.expovariate(rate)
        yield now
