"""What it costs to record every look of the judge, and to judge it again: bytes and microseconds.

python -m benchmarks.judge.recording                              # the figures
python -m benchmarks.judge.recording --picture docs/pictures/rollout.png   # of a late fault
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from modelserve.audit import Record, course, explain
from modelserve.cli.course_picture import draw
from modelserve.control.recording import look_at, this_judge, written
from modelserve.control.totals import add_up
from modelserve.decision import opinion, stage
from modelserve.domain.rollouts import Decision, Phase, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import Evidence, start
from modelserve.rehearsal.drive import READY
from modelserve.rehearsal.world import Latency, Traffic, World, constant
from modelserve.rollout import advance, begin, candidate_weight
from modelserve.rollout.looks import GROUND_EVERY, policy_digest
from modelserve.stores.records.base import Retention

SPEC = RolloutSpec.model_validate(
    {"shadow": None, "canary": {"steps": ["5%", "10%", "25%", "50%", "100%"]}, "probation": "10m"}
)
BEGIN = 1_764_000_000.0
LOADING = Verdict(Decision.CONTINUE, ("loading",))
FAULT = 150.0
"""Seconds after which the candidate of the picture begins to fail."""


class Recorded:
    """A simulated rollout, recorded as the controller records one, with the time that each part took."""

    def __init__(self, world: World, seconds: float, spec: RolloutSpec = SPEC, seed: int = 7) -> None:
        self.spec, self.rules = spec, spec.model_dump(mode="json", by_alias=True)
        fresh = begin(id="5f3a90c1", service="ner", stable="ner-00001", candidate="ner-00002", now=BEGIN)
        self.rollout, first = advance(spec, fresh, READY, LOADING, BEGIN)
        self.transitions, self.lines = [first], {}
        self.seconds = {"judge": 0.0, "record": 0.0}
        self._run(Traffic(world, seed), world.tick, seconds)

    def _run(self, traffic: Traffic, tick: float, seconds: float) -> None:
        for number in range(int(seconds / tick)):
            if self.rollout.phase.done:
                return
            self._look(traffic, number * tick, tick)

    def _look(self, traffic: Traffic, elapsed: float, tick: float) -> None:
        before, now = self.rollout, BEGIN + elapsed + tick
        seen = traffic.tick(elapsed, candidate_weight(self.spec, before))
        evidence = Evidence.load(before.evidence) if before.evidence else start(self.spec)
        evidence, verdict = self._timed("judge", lambda: opinion(self.spec, before, evidence, seen, now))
        after = replace(before, evidence=evidence.dump())
        after, transition = advance(self.spec, add_up(after, seen), seen, verdict, now)

        def record() -> tuple:
            look = look_at(before, stage(self.spec, before, now), seen, verdict, now)
            return written(look, before, after, transition, self.rules)

        self.rollout, transition, line = self._timed("record", record)
        self.lines[before.looks] = line
        self.transitions += [transition] if transition else []

    def _timed(self, what: str, act: Callable[[], tuple]) -> tuple:
        begun = time.process_time()
        found = act()
        self.seconds[what] += time.process_time() - begun
        return found

    @property
    def record(self) -> Record:
        digest = policy_digest(self.rules)
        return Record(self.spec, digest, self.rollout, tuple(self.transitions), self.lines, this_judge())


def figures(seconds: float) -> str:
    """One table: bytes and microseconds for each look of a long rollout at 100 requests a second."""
    healthy = World(100, latency=Latency())
    made = Recorded(healthy, seconds, SPEC.model_copy(update={"probation": 10 * seconds}))
    looks = len(made.lines)
    blocks = [
        "\n".join(made.lines[n] for n in range(first, min(first + GROUND_EVERY, looks)))
        for first in range(0, looks, GROUND_EVERY)
    ]
    packed = sum(len(zlib.compress(block.encode())) for block in blocks)
    begun = time.process_time()
    found = explain(made.record)
    again = time.process_time() - begun
    rows = [
        ("looks", f"{looks:,}"),
        ("bytes of a look, as it is written", f"{sum(map(len, made.lines.values())) / looks:,.0f}"),
        ("bytes of a look, kept", f"{packed / looks:,.0f}"),
        (f"of {Retention().looks:,} looks, kept", f"{packed / looks * Retention().looks / 1e6:.1f} MB"),
        ("microseconds to judge", f"{made.seconds['judge'] / looks * 1e6:,.0f}"),
        ("microseconds to record", f"{made.seconds['record'] / looks * 1e6:,.0f}"),
        ("microseconds to judge again and compare", f"{again / looks * 1e6:,.0f}"),
        ("the same verdicts", str(found["same"])),
    ]
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def late_fault() -> Record:
    """A candidate that is fine until it has half of the traffic and then fails three times in a hundred."""
    world = World(
        120,
        stable=constant(0.004),
        candidate=lambda now: 0.004 if now < FAULT else 0.035,
        latency=Latency(),
    )
    made = Recorded(world, 600)
    assert made.rollout.phase is Phase.ROLLED_BACK, made.rollout
    return made.record


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--picture", type=Path, help="draw a rollout with a late fault instead")
    options.add_argument("--seconds", type=float, default=3600.0, help="length of the measured rollout")
    given = options.parse_args()
    if given.picture:
        draw(course(late_fault(), 1500), given.picture)
    else:
        print(figures(given.seconds))


if __name__ == "__main__":
    main()
