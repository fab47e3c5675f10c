"""What is asked of the judge, and whether a set of outcomes reaches it.

A *share* (of false rollbacks, say) has an upper 95 % limit beside it (Clopper-Pearson). It is ``met`` when
the limit lies within one and a half times the goal, ``short`` when the share itself is beyond the goal, and
``met so far`` between: more runs would tell. A median has no limit and is met or short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.judge.bounds import lower, upper
from modelserve.rehearsal.drive import Outcome

ROOM = 1.5
"""By how much the upper limit of a share may exceed the goal: 1.5 % for 1 %."""


@dataclass(frozen=True)
class Result:
    """One goal on one case."""

    goal: str
    figure: str
    status: str
    """``met``, ``met so far`` or ``short``."""


@dataclass(frozen=True)
class Goal:
    number: int
    what: str
    check: Callable[[Sequence[Outcome]], tuple[str, str]]
    """From outcomes to (figure, status)."""

    def on(self, outcomes: Sequence[Outcome]) -> Result:
        figure, status = self.check(outcomes)
        return Result(f"{self.number}. {self.what}", figure, status)


def rarely(number: int, end: str, most: float) -> Goal:
    """At most the share ``most`` of rollouts ends so."""

    def check(outcomes: Sequence[Outcome]) -> tuple[str, str]:
        bad, runs = sum(outcome.end == end for outcome in outcomes), len(outcomes)
        limit = upper(bad, runs)
        status = "short" if bad > most * runs else "met" if limit <= ROOM * most else "met so far"
        return f"{bad / runs:.2%}, at most {limit:.2%}", status

    return Goal(number, f"{end} <= {most:.0%}", check)


def mostly(number: int, end: str, least: float) -> Goal:
    """At least the share ``least`` ends so."""

    def check(outcomes: Sequence[Outcome]) -> tuple[str, str]:
        good, runs = sum(outcome.end == end for outcome in outcomes), len(outcomes)
        limit = lower(good, runs)
        proven = 1 - limit <= ROOM * (1 - least)
        status = "short" if good < least * runs else "met" if proven else "met so far"
        return f"{good / runs:.1%}, at least {limit:.1%}", status

    return Goal(number, f"{end} >= {least:.0%}", check)


def median(number: int, what: str, of: Callable[[Outcome], float], most: float) -> Goal:
    def check(outcomes: Sequence[Outcome]) -> tuple[str, str]:
        value = float(np.median([of(outcome) for outcome in outcomes]))
        return f"{value:,.1f}", "met" if value <= most else "short"

    return Goal(number, f"median {what} <= {most:,g}", check)


def few_extra(most: float) -> tuple[Goal, Goal]:
    """Failed requests beyond what stable would have failed: median, and 90th percentile within 2.5 times."""

    def tail(outcomes: Sequence[Outcome]) -> tuple[str, str]:
        value = float(np.quantile([outcome.extra_failures for outcome in outcomes], 0.9))
        return f"{value:,.1f}", "met" if value <= 2.5 * most else "short"

    middle = median(4, "extra failures", lambda outcome: outcome.extra_failures, most)
    return middle, Goal(4, f"90th percentile of extra failures <= {2.5 * most:,g}", tail)


def within(seconds: float) -> Goal:
    return median(5, "seconds to decide", lambda outcome: outcome.seconds, seconds)


def half_within(seconds: float) -> Goal:
    return median(6, "seconds to 50 %", lambda outcome: outcome.half or float("inf"), seconds)
