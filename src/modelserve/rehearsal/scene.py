"""A scene to rehearse in: given traffic, a baseline, and what is wrong with the candidate from some time on.

Latencies are log-normal. A candidate whose median is worse is slower as a whole; one whose p99 is worse has a
few answers that wait, so many and so long that its 99th percentile is as told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import log

import numpy as np

from modelserve.domain.guardrails import Guardrail
from modelserve.domain.rollouts import ArmCounts, Observation, PairCounts
from modelserve.domain.services import RolloutSpec
from modelserve.errors import InvalidInput
from modelserve.rehearsal.regressions import Regression
from modelserve.rehearsal.world import Latency, Traffic, World, constant

P99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""
SLOW_SHARE = 0.03
"""Of a worse p99, the share of answers that wait."""
_SAMPLE = 200_000


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything but chance. ``rate`` in requests per second, ``baseline`` in 0..1, times in seconds."""

    rate: float
    baseline: float
    regression: Regression
    p50: float = 0.02
    p99: float = 0.06
    disagreement: float = 0.0
    """Share of shadow pairs in which even a good candidate answers differently, and stable from itself where
    it answers twice."""
    tick: float = 1.0

    def world(self, wrong: bool) -> World:
        """The traffic before the regression, or with it."""
        told = self.regression
        errors = told.errors if wrong and told.errors is not None else self.baseline
        quiet = _quiet(self.p50, self.p99)
        slower = (told.p50 or 0.0, told.p99 or 0.0) if wrong else (0.0, 0.0)
        return World(
            self.rate,
            constant(self.baseline),
            constant(errors),
            latency=_slower(quiet, *slower),
            tick=self.tick,
        )


class Stage:
    """One run of a scene: what would be seen, also of copies to a shadow."""

    def __init__(self, scene: Scene, spec: RolloutSpec, seed: int) -> None:
        self._scene, self._copied = scene, spec.shadow.share if spec.shadow else 0.0
        self._twice = bool(spec.shadow and spec.shadow.noise_floor)
        self._before, self._after = (Traffic(scene.world(wrong), seed * 2 + wrong) for wrong in (False, True))
        self._rng = np.random.default_rng((seed, 1))

    def expected(self, now: float) -> float:
        return self._scene.baseline

    def tick(self, now: float, weight: float) -> Observation:
        wrong = now >= self._scene.regression.after
        seen = (self._after if wrong else self._before).tick(now, weight)
        return self._shadowed(seen, wrong) if weight == 0 and self._copied else seen

    def _shadowed(self, seen: Observation, wrong: bool) -> Observation:
        """Copies of what stable got, each with a pair of answers unless one of them failed."""
        told, rng = self._scene.regression, self._rng
        copies = int(rng.binomial(seen.stable.requests, self._copied)) if seen.stable else 0
        errors = told.errors if wrong and told.errors is not None else self._scene.baseline
        differ = told.answers if wrong and told.answers is not None else self._scene.disagreement
        failed = int(rng.binomial(copies, errors))
        differing = failed + int(rng.binomial(copies - failed, differ))
        pairs = PairCounts(copies, differing, failed)
        return replace(
            seen, candidate=ArmCounts(copies, failed), pairs=self._repeated(pairs) if self._twice else pairs
        )

    def _repeated(self, seen: PairCounts) -> PairCounts:
        """Stable answers each copy too; how it differs from itself does not depend on the candidate."""
        noise, rng = self._scene.disagreement, self._rng
        both = int(rng.binomial(seen.disagreements, noise))
        stable_alone = int(rng.binomial(seen.pairs - seen.disagreements, noise))
        return replace(
            seen,
            repeats=seen.pairs,
            noise=both + stable_alone,
            candidate_alone=seen.disagreements - both,
            stable_alone=stable_alone,
        )


def rehearsable(spec: RolloutSpec) -> tuple[RolloutSpec, tuple[str, ...]]:
    """``spec`` with the guardrails that a simulation has figures for, and the keys of the others.

    Raises InvalidInput if none is left.
    """
    kept = [rail for rail in spec.judge.guardrails if _has_figures(rail)]
    left = [rail for rail in spec.judge.guardrails if not _has_figures(rail)]
    if not kept:
        names = ", ".join(rail.key for rail in left)
        raise InvalidInput(
            f"judge.guardrails: got {names}; a simulation needs error_rate, latency_p50 or latency_p99"
        )
    if not left:
        return spec, ()
    judged = spec.judge.model_copy(update={"guardrails": tuple(kept), "segments": ()})
    return spec.model_copy(update={"judge": judged}), tuple(rail.key for rail in left)


def _has_figures(rail: Guardrail) -> bool:
    return rail.segment is None and (rail.metric.of_latency or rail.metric.value == "error_rate")


def _quiet(p50: float, p99: float) -> Latency:
    return Latency(median=p50, spread=log(p99 / p50) / P99, tail_share=0.0)


@lru_cache(maxsize=64)
def _slower(quiet: Latency, p50: float, p99: float) -> Latency:
    """``quiet`` for stable, and a candidate whose quantiles are higher by these shares."""
    slower = replace(quiet, factor=1 + p50)
    if p99 == 0:
        return slower
    return replace(slower, slow_share=SLOW_SHARE, slow_by=_wait(quiet, p50, p99))


def _wait(quiet: Latency, p50: float, p99: float) -> float:
    """Seconds that the slow answers wait so that the 99th percentile is ``1 + p99`` times stable's."""
    rng = np.random.default_rng(0)
    times = quiet.median * np.exp(quiet.spread * rng.standard_normal(_SAMPLE))
    slow = rng.random(_SAMPLE) < SLOW_SHARE
    wanted = (1 + p99) * float(np.quantile(times, 0.99))
    low, high = 0.0, wanted
    for _ in range(40):
        middle = (low + high) / 2
        reached = float(np.quantile(times * (1 + p50) + slow * middle, 0.99))
        low, high = (middle, high) if reached < wanted else (low, middle)
    return high
