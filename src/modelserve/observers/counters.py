"""Arithmetic on counters that only ever rise: what was added since the last reading."""

from __future__ import annotations

from collections.abc import Sequence

from modelserve.domain.rollouts import ArmCounts


def rise(before: Sequence[int], now: Sequence[int]) -> tuple[int, ...] | None:
    """Element-wise ``now - before``; None if any counter fell, which means that it was reset."""
    if len(before) != len(now):
        return None
    added = tuple(b - a for a, b in zip(before, now, strict=True))
    return None if any(value < 0 for value in added) else added


def add(one: ArmCounts, other: ArmCounts) -> ArmCounts:
    """Sum of two replicas' counts over the same interval."""
    latency = one.latency or other.latency
    if one.latency and other.latency:
        latency = tuple(map(sum, zip(one.latency, other.latency, strict=True)))
    return ArmCounts(
        one.requests + other.requests, one.failures + other.failures, latency, one.cached + other.cached
    )
