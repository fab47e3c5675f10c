"""Simulated traffic and a driver that takes a candidate through its steps as a controller would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from modelserve.domain.latency import BOUNDS, BUCKETS
from modelserve.domain.rollouts import ArmCounts, Decision, Observation, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, Stage, judge, start

ERRORS = [{"metric": "error_rate", "maxIncrease": "0.2%"}]
ALL = [
    *ERRORS,
    {"metric": "latency_p50", "maxIncrease": "15%"},
    {"metric": "latency_p99", "maxIncrease": "25%"},
]


@pytest.fixture(scope="session")
def policy() -> Callable[..., RolloutSpec]:
    """A spec without a shadow stage; ``guardrails`` "errors" or "all", or a list; more as in the file."""

    def of(guardrails: Any = "errors", steps: Any = ("10%", "50%", "100%"), **changes: Any) -> RolloutSpec:
        rails = {"errors": ERRORS, "all": ALL}.get(guardrails) if isinstance(guardrails, str) else guardrails
        judge_part = {"guardrails": rails} | changes.pop("judge", {})
        canary = {
            "steps": list(steps),
            "minStep": changes.pop("min_step", "4s"),
            "bake": changes.pop("bake", None),
        }
        return RolloutSpec.model_validate({"shadow": None, "canary": canary, "judge": judge_part} | changes)

    return of


def histogram(seconds: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in np.bincount(np.searchsorted(BOUNDS, seconds), minlength=BUCKETS))


@pytest.fixture(scope="session")
def arm() -> Callable[..., ArmCounts]:
    """Counts of one arm; ``seconds`` are its latencies."""

    def of(requests: int, failures: int = 0, seconds: Any = ()) -> ArmCounts:
        return ArmCounts(requests, failures, histogram(np.asarray(seconds)) if len(seconds) else ())

    return of


@dataclass(frozen=True)
class End:
    decision: Decision
    seconds: float
    requests: int
    failures: int
    verdict: Verdict
    evidence: Evidence


@dataclass(frozen=True)
class World:
    """``factor``: how much slower the candidate is; ``slow``: share of its answers that take 60 ms longer."""

    rate: float = 200
    stable: float = 0.001
    candidate: float = 0.001
    latency: bool = False
    factor: float = 1.0
    slow: float = 0.0
    fault_at: float = 0.0
    shared: Callable[[float], float] | None = None

    def tick(self, rng: np.random.Generator, now: float, weight: float, seconds: float) -> Observation:
        total = int(rng.poisson(self.rate * seconds))
        n = int(rng.binomial(total, weight))
        stable = self.shared(now) if self.shared else self.stable
        candidate = self.shared(now) if self.shared else (self.candidate if now >= self.fault_at else stable)
        return Observation(
            seconds=seconds,
            candidate_weight=weight,
            stable=self._arm(rng, total - n, stable, 1.0, 0.0),
            candidate=self._arm(rng, n, candidate, self.factor, self.slow),
        )

    def _arm(self, rng: Any, requests: int, chance: float, factor: float, slow: float) -> ArmCounts:
        failures = int(rng.binomial(requests, chance))
        if not self.latency:
            return ArmCounts(requests, failures)
        seconds = 0.0025 * np.exp(0.35 * rng.standard_normal(requests))
        seconds += (rng.random(requests) < 0.03) * 0.006 * (1 + rng.pareto(2.0, requests))
        return ArmCounts(
            requests, failures, histogram(seconds * factor + 0.06 * (rng.random(requests) < slow))
        )


@pytest.fixture(scope="session")
def world() -> type[World]:
    return World


@pytest.fixture(scope="session")
def drive() -> Callable[..., End]:
    """Run one rollout until it is decided: promoted over the last step, rolled back, held or out of time."""

    def run(spec: RolloutSpec, world: World, seed: int = 0, limit: float = 600, tick: float = 1.0) -> End:
        rng, evidence, steps = np.random.default_rng(seed), start(spec), spec.canary.ladder
        now = entered = 0.0
        step = requests = failures = 0
        while True:
            seen = world.tick(rng, now, steps[step], tick)
            now += tick
            requests += seen.candidate.requests
            failures += seen.candidate.failures
            stage = Stage("canary", steps[step], steps[step + 1], now - entered, now)
            evidence, verdict = judge(spec, evidence, seen, stage)
            if verdict.decision is Decision.PROMOTE and steps[step + 1] < 1:
                step, entered = step + 1, now
            elif verdict.decision in (Decision.PROMOTE, Decision.ROLL_BACK) or now >= limit:
                return End(verdict.decision, now, requests, failures, verdict, evidence)

    return run
