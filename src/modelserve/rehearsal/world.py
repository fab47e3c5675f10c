"""Simulated traffic: what an observer would have counted, tick by tick.

A *world* is arrivals (Poisson), failures (a chance for each arm, perhaps in bursts) and latencies: a base
that both arms share and that wanders with the machine's load, stalls that hit one arm for some tens of
milliseconds, and a heavy tail. What the observers miss is part of it: looks that fail, and counters that
begin anew with a replica. All times in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from modelserve.domain.latency import BOUNDS, BUCKETS
from modelserve.domain.rollouts import ArmCounts, Observation

Chance = Callable[[float], float]


def constant(p: float) -> Chance:
    return lambda _: p


@dataclass(frozen=True)
class Latency:
    """``median`` and ``spread`` (sigma of the logarithm) of a quiet machine; the rest is its noise."""

    median: float = 0.0025
    spread: float = 0.35
    tail_share: float = 0.03
    tail_scale: float = 0.006
    tail_index: float = 2.0
    wander: float = 0.0
    """Sigma of the shared load's logarithm."""
    wander_time: float = 3.0
    stall_rate: float = 0.0
    """Stalls of one arm per second."""
    stall_time: float = 0.04
    factor: float = 1.0
    """How much slower the candidate is, whole."""
    cold_factor: float = 1.0
    """How much slower the candidate is at first, until its caches are full."""
    cold_time: float = 5.0
    second_share: float = 0.0
    """Share of both arms' answers that belong to a second kind of request."""
    second_factor: float = 8.0
    """How much longer those take."""
    slow_share: float = 0.0
    """Share of the candidate's answers that take ``slow_by`` longer."""
    slow_by: float = 0.06


@dataclass(frozen=True)
class World:
    """Requests per second, chances of failure by time, and latencies (None: not measured)."""

    rate: float
    stable: Chance = field(default_factory=lambda: constant(0.001))
    candidate: Chance = field(default_factory=lambda: constant(0.001))
    burst: int = 1
    """Failures come in groups of this size, each within one arm."""
    latency: Latency | None = None
    tick: float = 1.0
    swell: float = 0.0
    """Sigma of the logarithm of an autocorrelated rate."""
    swell_time: float = 30.0
    missed: float = 0.0
    """Chance that a look fails; the next one covers the gap, since counters only rise."""
    restarts: float = 0.0
    """Restarts of an arm's replica per second; what its counters told in that interval is lost."""


class Traffic:
    """One run of a world. Of two runs with one seed, arrivals are the same whatever the weights."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._arrivals, self._rng, self._luck = (np.random.default_rng((seed, part)) for part in range(3))
        self._load, self._swell = 0.0, 0.0
        self._unread: Observation | None = None

    def tick(self, now: float, weight: float) -> Observation:
        """What is told of the interval that begins at ``now``."""
        return self._told(self.happened(now, weight))

    def happened(self, now: float, weight: float) -> Observation:
        """What both arms did in it, whether it is told or not."""
        world = self._world
        total = int(self._arrivals.poisson(world.rate * world.tick * self._wander()))
        candidate = int(self._rng.binomial(total, weight))
        return Observation(
            seconds=world.tick,
            candidate_weight=weight,
            stable=self._arm(total - candidate, world.stable(now), None, now),
            candidate=self._arm(candidate, world.candidate(now), world.latency, now),
        )

    def _told(self, happened: Observation) -> Observation:
        world = self._world
        if world.restarts:
            lost = self._luck.random(2) < world.restarts * world.tick
            stable, candidate = (
                None if gone else arm
                for gone, arm in zip(lost, (happened.stable, happened.candidate), strict=True)
            )
            happened = replace(happened, stable=stable, candidate=candidate)
        if not world.missed:
            return happened
        both = _join(self._unread, happened)
        if self._luck.random() < world.missed:
            self._unread = both
            return replace(happened, stable=None, candidate=None)
        self._unread = None
        return both

    def _arm(self, requests: int, chance: float, candidate: Latency | None, now: float) -> ArmCounts:
        failures = self._failures(requests, chance)
        if self._world.latency is None:
            return ArmCounts(requests, failures)
        seconds = self._latencies(requests, self._world.latency)
        if candidate is not None:
            slow = self._rng.random(requests) < candidate.slow_share
            cold = 1 + (candidate.cold_factor - 1) * exp(-now / candidate.cold_time)
            seconds = seconds * candidate.factor * cold + slow * candidate.slow_by
        buckets = np.bincount(np.searchsorted(BOUNDS, seconds), minlength=BUCKETS)
        return ArmCounts(requests, failures, tuple(buckets.tolist()))

    def _failures(self, requests: int, chance: float) -> int:
        size = self._world.burst
        if size == 1:
            return int(self._rng.binomial(requests, chance))
        return min(requests, size * int(self._rng.binomial(requests, chance / size)))

    def _latencies(self, requests: int, shape: Latency) -> NDArray[np.float64]:
        rng, tick = self._rng, self._world.tick
        seconds = shape.median * np.exp(shape.spread * rng.standard_normal(requests) + self._load)
        if shape.second_share:
            seconds *= np.where(rng.random(requests) < shape.second_share, shape.second_factor, 1.0)
        if shape.tail_share:
            heavy = rng.random(requests) < shape.tail_share
            seconds += heavy * shape.tail_scale * (1 + rng.pareto(shape.tail_index, requests))
        if shape.stall_rate:
            seconds += self._stalled(np.sort(rng.random(requests)) * tick, shape)
        return seconds

    def _stalled(self, arrivals: NDArray[np.float64], shape: Latency) -> NDArray[np.float64]:
        rng, tick = self._rng, self._world.tick
        waits = np.zeros(len(arrivals))
        for begin in rng.random(rng.poisson(shape.stall_rate * tick)) * tick:
            wait = begin + rng.exponential(shape.stall_time) - arrivals
            waits += np.where((arrivals >= begin) & (wait > 0), wait, 0.0)
        return waits

    def _wander(self) -> float:
        """Let the load and the rate wander; the rate's factor, whose mean is 1."""
        world, shape = self._world, self._world.latency
        if shape is not None and shape.wander:
            self._load = self._step(self._load, shape.wander, shape.wander_time)
        if not world.swell:
            return 1.0
        self._swell = self._step(self._swell, world.swell, world.swell_time)
        return exp(self._swell - world.swell**2 / 2)

    def _step(self, value: float, sigma: float, time: float) -> float:
        """One tick of an Ornstein-Uhlenbeck process that forgets in ``time`` seconds."""
        keep = exp(-self._world.tick / time)
        return keep * value + sigma * sqrt(1 - keep**2) * float(self._arrivals.standard_normal())


def _join(earlier: Observation | None, later: Observation) -> Observation:
    """Counters read once for both; an arm that was lost in either is lost."""
    if earlier is None:
        return later
    stable, candidate = (
        None if one is None or two is None else _sum(one, two)
        for one, two in ((earlier.stable, later.stable), (earlier.candidate, later.candidate))
    )
    return replace(later, stable=stable, candidate=candidate)


def _sum(one: ArmCounts, two: ArmCounts) -> ArmCounts:
    latency = tuple(map(sum, zip(one.latency, two.latency, strict=True)))
    return ArmCounts(one.requests + two.requests, one.failures + two.failures, latency)
