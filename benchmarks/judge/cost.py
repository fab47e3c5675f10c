"""What one look costs: ``python -m benchmarks.judge.cost``.

Prints microseconds for one call of the judge in a canary step at 100 and 1000 requests/s: processor time of
this process, the least of several rounds, so that neighbours on the machine count little.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.judge.cases import QUIET
from benchmarks.judge.specs import ALL, ERRORS, policy
from modelserve.domain.rollouts import Observation, Outcome, Trials
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Stage, judge, start
from modelserve.rehearsal.world import Traffic, World, constant

STEPS = ("1%", "5%", "10%", "25%", "50%", "100%")
LABELS = [*ERRORS, {"metric": "accuracy", "maxDecrease": "1%"}]
TENANTS = {"metric": "error_rate", "maxIncrease": "0.5%", "segment": "tenant"}
STEP = Stage("canary", 0.1, 0.25, 60, 60)


def looks(rate: float, latency: bool, count: int) -> list[Observation]:
    world = World(rate, constant(0.01), constant(0.01), latency=QUIET if latency else None)
    traffic = Traffic(world, 1)
    return [traffic.tick(float(second), STEP.weight) for second in range(count)]


def told(seen: Sequence[Observation], keys: Sequence[str]) -> list[Observation]:
    """The same looks with outcomes of both arms under each of ``keys``."""
    outcome = Outcome(Trials(45, 4.0), Trials(5, 1.0))
    return [replace(look, outcomes=dict.fromkeys(keys, outcome)) for look in seen]


def segmented() -> RolloutSpec:
    spec = policy(STEPS, "30s", ERRORS)
    document = spec.model_dump(mode="json", by_alias=True)
    document["judge"]["segments"] = [{"name": "tenant", "header": "x-tenant"}]
    document["judge"]["guardrails"].append(TENANTS)
    return RolloutSpec.model_validate(document)


def cost(spec: RolloutSpec, seen: Sequence[Observation], rounds: int) -> float:
    """Microseconds for one look."""
    best = float("inf")
    gc.disable()
    for _ in range(rounds):
        evidence, begun = start(spec), time.process_time()
        for look in seen:
            evidence, _ = judge(spec, evidence, look, STEP)
        best = min(best, (time.process_time() - begun) / len(seen))
    gc.enable()
    return best * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--looks", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    errors, everything = policy(STEPS, "30s", ERRORS), policy(STEPS, "30s", ALL)
    tenants = [f"error_rate by tenant=t{i}" for i in range(50)]
    few = looks(100, latency=False, count=arguments.looks)
    cases = [
        ("errors, 100 requests/s", errors, few),
        ("errors, 1000 requests/s", errors, looks(1000, latency=False, count=arguments.looks)),
        ("errors and latency, 100 requests/s", everything, looks(100, latency=True, count=arguments.looks)),
        ("errors and latency, 1000 requests/s", everything, looks(1000, latency=True, count=arguments.looks)),
        ("errors and labels", policy(STEPS, "30s", LABELS), told(few, ["accuracy"])),
        ("errors, and 50 tenants each", segmented(), told(few, tenants)),
    ]
    for name, spec, seen in cases:
        print(f"{name:40} {cost(spec, seen, arguments.rounds):8.0f} µs a look", flush=True)


if __name__ == "__main__":
    main()
