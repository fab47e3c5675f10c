"""Plain limits: a value of the candidate's that must not exceed a number.

There is nothing to compare with and nothing is known of how the value varies, so there is **no error bound**:
a limit that is set too low rolls a healthy candidate back. Some patience is all that is added: the value must
lie above the limit in three readings in a row, over five seconds or more. No value is no data: it holds.
"""

from __future__ import annotations

from dataclasses import replace

from modelserve.domain.rollouts import Observation
from modelserve.judge.evidence import Limit
from modelserve.judge.plan import Plan

LOOKS = 3
SECONDS = 5.0


def learn(limits: tuple[Limit, ...], made: Plan, seen: Observation) -> tuple[Limit, ...]:
    """Add one interval's values; a source that was not asked, or had none, changes no count."""
    return tuple(
        _see(known, guardrail.limit or 0.0, seen)
        for known, guardrail in zip(limits, made.limits, strict=True)
    )


def exceeded(known: Limit) -> bool:
    """For long enough to roll back."""
    return known.looks >= LOOKS and known.seconds >= SECONDS


def _see(known: Limit, limit: float, seen: Observation) -> Limit:
    value = seen.values.get(known.key)
    seconds = known.seconds + seen.seconds if known.looks else 0.0
    if value is None:
        return replace(known, seconds=seconds, silence=known.silence + seen.seconds)
    if value <= limit:
        return Limit(known.key, value)
    return Limit(known.key, value, known.looks + 1, seconds)
