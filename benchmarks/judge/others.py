"""How other delivery tools would decide on the same traffic, from the rules that they document.

Each policy is asked after every tick with what both arms did, and says at which weight to go on or how it
ends. Each is set up as its own documentation shows, with a request's failure as the only metric unless
latency is measured too. They are given what the judge is given: the same worlds, seeds and arrivals; only
the weights are each one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Protocol

import numpy as np

from modelserve.domain.latency import BOUNDS
from modelserve.domain.rollouts import ArmCounts
from modelserve.rehearsal.drive import Outcome
from modelserve.rehearsal.world import Traffic, World
from modelserve.statistics.histograms import Tails


class Policy(Protocol):
    weight: float
    """For the candidate, of all traffic."""

    def look(self, now: float, stable: ArmCounts, candidate: ArmCounts) -> str:
        """``rolled back``, ``promoted``, or empty to go on; ``now`` is the end of the tick."""


@dataclass
class Window:
    """Sums of one arm since the window began."""

    requests: int = 0
    failures: int = 0
    latency: list[int] = field(default_factory=list)

    def add(self, seen: ArmCounts) -> None:
        self.requests += seen.requests
        self.failures += seen.failures
        if seen.latency:
            self.latency = [
                a + b for a, b in zip(self.latency or [0] * len(seen.latency), seen.latency, strict=True)
            ]

    @property
    def success(self) -> float | None:
        """Share of requests that did not fail; None without requests."""
        return 1 - self.failures / self.requests if self.requests else None

    def quantile(self, q: float) -> float | None:
        """Seconds; None where latency was not measured."""
        bucket = Tails(self.latency).bucket_of(q)
        return None if bucket < 0 else BOUNDS[min(bucket, len(BOUNDS) - 1)]


class Flagger:
    """Every ``interval`` the checks run on the candidate's traffic of the last interval.

    request-success-rate must be at least 99 %, request-duration (p99) at most 500 ms. A failed check, and one
    that finds no values, stops the advance; after ``threshold`` failed checks it rolls back. A check that
    passes adds ``stepWeight`` up to ``maxWeight``; after that it promotes. interval 1m, threshold 5,
    maxWeight 50 and stepWeight 10 are those of Flagger's tutorials.
    Source: docs.flagger.app, "How it works" (canary analysis) and "Metrics Analysis" (builtin metrics).
    """

    interval, threshold, step, most = 60.0, 5, 0.1, 0.5

    def __init__(self) -> None:
        self.weight, self._failed, self._window, self._next = self.step, 0, Window(), self.interval

    def look(self, now: float, stable: ArmCounts, candidate: ArmCounts) -> str:
        self._window.add(candidate)
        if now < self._next:
            return ""
        passed, self._window, self._next = self._passes(), Window(), now + self.interval
        if not passed:
            self._failed += 1
            return "rolled back" if self._failed >= self.threshold else ""
        if self.weight >= self.most - 1e-9:
            return "promoted"
        self.weight = min(self.weight + self.step, self.most)
        return ""

    def _passes(self) -> bool:
        success, slowest = self._window.success, self._window.quantile(0.99)
        return success is not None and success >= 0.99 and (slowest is None or slowest <= 0.5)


class Argo:
    """A background analysis beside steps with pauses.

    Every ``interval`` the candidate's success rate over it is measured; a measurement below
    ``successCondition`` (99 %) is a failed one, and more than ``failureLimit`` of them (0 by default) abort.
    The steps are the ladder that the judge has, with a pause of five minutes each. A rate without requests is
    NaN, which is an error, and five errors in a row abort (consecutiveErrorLimit 4).
    Source: argo-rollouts.readthedocs.io, "Analysis & Progressive Delivery" and its spec reference.
    """

    interval, success, limit, pause = 60.0, 0.99, 0, 300.0

    def __init__(self) -> None:
        self._ladder = [0.01, 0.05, 0.1, 0.25, 0.5]
        self.weight, self._window = self._ladder.pop(0), Window()
        self._failed, self._errors, self._next, self._moves = 0, 0, self.interval, self.pause

    def look(self, now: float, stable: ArmCounts, candidate: ArmCounts) -> str:
        self._window.add(candidate)
        if now >= self._next:
            self._measure(self._window.success)
            self._window, self._next = Window(), now + self.interval
            if self._failed > self.limit or self._errors > 4:
                return "rolled back"
        if now < self._moves:
            return ""
        if not self._ladder:
            return "promoted"
        self.weight, self._moves = self._ladder.pop(0), now + self.pause
        return ""

    def _measure(self, success: float | None) -> None:
        self._errors = self._errors + 1 if success is None else 0
        self._failed += success is not None and success < self.success


class Kayenta:
    """A judgement every ``interval`` on all per-minute aggregates so far; the lifetime's end promotes.

    A metric is *High* when the 98 % interval of the Hodges-Lehmann shift (Mann-Whitney) of candidate against
    baseline lies above a quarter of the estimated shift. The score is the share of metrics that are not High;
    below the marginal threshold (75) the canary fails. The candidate gets 10 % of the traffic, and so does a
    baseline of its own. Lifetime 60 minutes, a judgement every 10, one-minute steps.
    Source: spinnaker.io, "How canary judgment works"; its NetflixACAJudge (Mann-Whitney, tolerance 0.25).
    """

    interval, lifetime, share = 600.0, 3600.0, 0.1

    def __init__(self) -> None:
        self.weight, self._next, self._minute = self.share, self.interval, 60.0
        self._windows = (Window(), Window())
        self._points: dict[str, tuple[list[float], list[float]]] = {"errors": ([], []), "p99": ([], [])}

    def look(self, now: float, stable: ArmCounts, candidate: ArmCounts) -> str:
        for window, seen in zip(self._windows, (stable, candidate), strict=True):
            window.add(seen)
        if now >= self._minute:
            self._close()
            self._minute = now + 60
        if now < self._next:
            return ""
        self._next = now + self.interval
        measured = [pair for pair in self._points.values() if min(map(len, pair)) > 1]
        high = sum(_high(*pair) for pair in measured)
        if measured and 100 * (1 - high / len(measured)) < 75:
            return "rolled back"
        return "promoted" if now >= self.lifetime else ""

    def _close(self) -> None:
        """Turn the minute that ends into one point of each metric."""
        for arm, window in enumerate(self._windows):
            success, slowest = window.success, window.quantile(0.99)
            if success is not None:
                self._points["errors"][arm].append(1 - success)
            if slowest is not None:
                self._points["p99"][arm].append(slowest)
        self._windows = (Window(), Window())


def _high(baseline: list[float], candidate: list[float]) -> bool:
    shift, low = shift_interval(baseline, candidate)
    return low > 0.25 * abs(shift)


def shift_interval(baseline: list[float], candidate: list[float]) -> tuple[float, float]:
    """(estimate, lower end of the 98 % interval) of the shift between two samples.

    The median of all differences, and the order statistic that the normal approximation of Mann-Whitney's U
    names. Source: Hodges & Lehmann, Ann. Math. Stat. 34 (1963); Hollander & Wolfe, section 4.3.
    """
    apart = np.sort(np.subtract.outer(candidate, baseline), axis=None)
    n, m = len(candidate), len(baseline)
    place = int(n * m / 2 - 2.326 * sqrt(n * m * (n + m + 1) / 12))
    return float(np.median(apart)), float(apart[max(place, 0)])


OTHERS: dict[str, Callable[[], Policy]] = {"Flagger": Flagger, "Argo Rollouts": Argo, "Kayenta": Kayenta}


def drive(policy: Policy, world: World, seed: int, seconds: float) -> Outcome:
    """One simulated rollout by ``policy``."""
    traffic, now, requests, extra = Traffic(world, seed), 0.0, 0, 0.0
    half: float | None = None
    while now < seconds:
        weight = policy.weight
        half = now if half is None and weight >= 0.5 else half
        seen = traffic.happened(now, weight)
        now += world.tick
        stable, candidate = seen.stable or ArmCounts(), seen.candidate or ArmCounts()
        requests += candidate.requests
        extra += candidate.failures - candidate.requests * world.stable(now - world.tick)
        if end := policy.look(now, stable, candidate):
            return Outcome(end, now, weight, requests, extra, half, "")
    return Outcome("undecided", now, policy.weight, requests, extra, half, "")
