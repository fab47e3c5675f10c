"""The table of cases: a world, the policy under which it is judged, and the goals that it must reach.

Numbers of goals are those of the list in docs/benchmarks/judge.md; 0 is a case without a goal. All worlds
have Poisson arrivals and ticks of 1 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.judge.goals import Goal, few_extra, half_within, median, mostly, rarely, within
from benchmarks.judge.specs import LADDERED, LADDERED_ALL, SLOWLY, from_traffic
from modelserve.domain.services import RolloutSpec
from modelserve.rehearsal.world import Chance, Latency, World, constant


@dataclass(frozen=True)
class Case:
    name: str
    world: World
    goals: tuple[Goal, ...]
    spec: RolloutSpec = LADDERED
    seconds: float = 1800.0
    runs: float = 1.0
    """Part of the asked-for runs: less where a run is long or its goal is a median."""
    others: bool = False
    """Whether the other tools are run on it too."""


QUIET = Latency()
BIMODAL = Latency(second_share=0.2)
COLD = Latency(cold_factor=4.0, cold_time=4.0)
WANDERING = Latency(wander=0.2)
SAFE = (rarely(1, "rolled back", 0.01),)
CAUGHT = mostly(3, "rolled back", 0.99)


def after(start: float, before: float, then: float) -> Chance:
    return lambda now: then if now >= start else before


def outage(share: float) -> Chance:
    """Both arms fail alike between the 60th and the 90th second."""
    return lambda now: share if 60 <= now < 90 else 0.001


def errors(rate: float, stable: float, candidate: float) -> World:
    return World(rate, constant(stable), constant(candidate))


def timed(rate: float, latency: Latency) -> World:
    return replace(errors(rate, 0.001, 0.001), latency=latency)


def cases() -> list[Case]:
    return [*_healthy(), *_realistic(), *_bursts(), *_regressions(), *_slower(), *_margins(), *_late()]


def _healthy() -> list[Case]:
    speedy = (
        median(6, "candidate requests", lambda outcome: outcome.candidate_requests, 3500),
        half_within(150),
    )
    more = {(100, 0.001): speedy[:1], (1000, 0.001): (half_within(150),)}
    usual = [
        Case(f"healthy, {base:.1%} errors, {rate}/s", errors(rate, base, base),
             SAFE + more.get((rate, base), ()), runs=0.25 if rate == 10 else 1.0, others=rate >= 100)
        for base in (0.001, 0.01, 0.02) for rate in (10, 100, 1000)
    ]  # fmt: skip
    wide = [
        Case(f"healthy, {base:.2%} errors, {rate}/s", errors(rate, base, base), SAFE, runs=0.1)
        for rate, base in ((3, 0.005), (30, 0.005), (300, 0.0005), (300, 0.05))
    ]
    half = {10: (half_within(720),), 100: speedy}
    begun = [
        Case(f"healthy, 0.1% errors, {rate}/s, first weight from traffic", errors(rate, 0.001, 0.001),
             SAFE + goals, from_traffic(rate), runs=rate / 100) for rate, goals in half.items()
    ]  # fmt: skip
    return [*usual, *wide, *begun]


def _realistic() -> list[Case]:
    shared = [
        Case(f"an outage of both arms, {rate}/s", World(rate, outage(0.3), outage(0.3)), SAFE,
             runs=0.25 if rate == 10 else 1.0, others=rate == 100)
        for rate in (10, 100, 1000)
    ]  # fmt: skip
    busy = replace(errors(100, 0.001, 0.001), swell=0.5)
    patchy = replace(errors(100, 0.01, 0.01), missed=0.1, restarts=0.02)
    return [
        *shared,
        Case("load that swells and ebbs, 100/s", busy, SAFE, runs=0.5),
        Case("missed looks and restarts, 1% errors, 100/s", patchy, SAFE, runs=0.5),
        Case(
            "equal latency, log-normal, 100/s", timed(100, QUIET), SAFE, LADDERED_ALL, runs=0.5, others=True
        ),
        Case("equal latency, log-normal, 1000/s", timed(1000, QUIET), SAFE, LADDERED_ALL, runs=0.1),
        Case("equal latency, bimodal, 100/s", timed(100, BIMODAL), SAFE, LADDERED_ALL, runs=0.2),
        Case("equal latency, wandering load, 100/s", timed(100, WANDERING), SAFE, LADDERED_ALL, runs=0.2),
        Case("candidate starts cold, 4 times slower, 100/s", timed(100, COLD), SAFE, LADDERED_ALL, runs=0.2),
    ]


def _bursts() -> list[Case]:
    rare = (rarely(2, "rolled back", 0.02),)
    return [
        Case(f"bursts of five, {base:.1%} errors, {rate}/s", replace(errors(rate, base, base), burst=5), rare,
             runs=1.0 if base == 0.001 else 0.3, others=base == 0.001)
        for base in (0.001, 0.01) for rate in (100, 1000)
    ]  # fmt: skip


def _regressions() -> list[Case]:
    def case(rate: float, before: float, then: float, *goals: Goal) -> Case:
        name = f"errors {before:.1%} to {then:.1%}, {rate:g}/s"
        return Case(name, errors(rate, before, then), goals, runs=0.25, others=rate >= 100)

    quick = {10: 60, 100: 15, 1000: 5}
    return [
        *(replace(case(rate, 0.001, 0.05, CAUGHT, *few_extra(3)), runs=0.1 if rate == 10 else 0.25)
          for rate in (10, 100, 1000)),
        *(Case(f"errors 0.1% to 5.0%, {rate}/s, first weight from traffic", errors(rate, 0.001, 0.05),
               (within(limit),), from_traffic(rate), runs=0.2) for rate, limit in quick.items()),
        case(100, 0.001, 0.5, CAUGHT, *few_extra(4)),
        case(1000, 0.001, 0.5, CAUGHT),
        case(1000, 0.001, 0.005, CAUGHT, *few_extra(8)),
        case(1000, 0.01, 0.02, CAUGHT, *few_extra(20)),
        case(100, 0.01, 0.02, CAUGHT, *few_extra(20)),
    ]  # fmt: skip


def _slower() -> list[Case]:
    slow = replace(QUIET, tail_share=0.0, slow_share=0.03, slow_by=0.0055)
    named = {
        "p99 +50%, 100/s": (timed(100, slow), CAUGHT),
        "all answers 1.5 times slower, 100/s": (timed(100, replace(QUIET, factor=1.5)), CAUGHT),
    }
    return [Case(name, world, (goal,), LADDERED_ALL, runs=0.1) for name, (world, goal) in named.items()]


def _margins() -> list[Case]:
    rare = (rarely(7, "promoted", 0.05),)
    edge = 1.25 * 0.001 + 0.002
    return [
        Case("at the margin, 0.1% errors, 100/s", errors(100, 0.001, edge), rare, seconds=3600, runs=0.3),
        Case("at the margin, 0.1% errors, 1000/s", errors(1000, 0.001, edge), rare, runs=0.5),
        Case("at the margin, 1% errors, 1000/s", errors(1000, 0.01, 0.0145), rare, runs=0.5),
    ]


def _late() -> list[Case]:
    few = (median(8, "extra failures", lambda outcome: outcome.extra_failures, 150),)
    return [
        Case(f"errors 0.1% to 5% from the 300th second, {rate}/s",
             World(rate, constant(0.001), after(300, 0.001, 0.05)), few, SLOWLY, runs=0.1)
        for rate in (100, 1000)
    ]  # fmt: skip
