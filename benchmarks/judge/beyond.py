"""Goals 9 and 10: paired shadow answers, and what one look costs."""

from __future__ import annotations

from math import inf

import numpy as np

from benchmarks.judge import pairs
from benchmarks.judge.bounds import upper
from benchmarks.judge.cost import cost, looks
from benchmarks.judge.goals import ROOM, Result
from benchmarks.judge.specs import LADDERED, LADDERED_ALL
from modelserve.judge import judge, start
from modelserve.judge.stage import Stage

Named = tuple[str, Result]
STEP = Stage("canary", 0.1, 0.25, 60, 60)


def paired(runs: int, seed: int) -> list[Named]:
    """Goal 9: accuracy 90 to 88 % with 6 % of the pairs discordant, and a healthy candidate."""
    rng = np.random.default_rng(seed)
    worse, healthy = (next(case for case in pairs.cases() if case.name.startswith(name)) for name in
                      ("accuracy 90 -> 88", "healthy, 6 %"))  # fmt: skip
    needed = float(np.median([pairs.pairs_needed(worse, rng) for _ in range(runs)]))
    alarms = sum(pairs.pairs_needed(healthy, rng) < inf for _ in range(runs))
    limit, share = upper(alarms, runs), alarms / runs
    status = "short" if share > 0.01 else "met" if limit <= ROOM * 0.01 else "met so far"
    return [
        (
            worse.name,
            Result("9. median pairs <= 1,600", f"{needed:,.0f}", "met" if needed <= 1600 else "short"),
        ),
        (healthy.name, Result("9. false alarm <= 1 %", f"{share:.2%}, at most {limit:.2%}", status)),
    ]


def costs() -> list[Named]:
    """Goal 10: microseconds of processor time for a look, and bytes of evidence early and late."""
    found = []
    for name, spec, most in (("errors", LADDERED, 60), ("errors and latency", LADDERED_ALL, 300)):
        spent = cost(spec, looks(100, latency=most > 60, count=300), rounds=5)
        goal = f"10. microseconds a look <= {most}"
        found.append((f"{name}, 100/s", Result(goal, f"{spent:,.0f}", "met" if spent <= most else "short")))
    early, late = _sizes()
    same = "met" if late <= 1.1 * early else "short"
    figure = f"{early:,} then {late:,} bytes"
    return [*found, ("after 100 and 3,000 looks", Result("10. constant memory", figure, same))]


def _sizes() -> tuple[int, int]:
    evidence, sizes = start(LADDERED_ALL), []
    seen = looks(100, latency=True, count=3000)
    for number, look in enumerate(seen, 1):
        evidence, _ = judge(LADDERED_ALL, evidence, look, STEP)
        if number in (100, 3000):
            sizes.append(_numbers(evidence.dump()))
    return sizes[0], sizes[1]


def _numbers(value: object) -> int:
    """Eight bytes for each number in it, whatever its digits."""
    if isinstance(value, dict):
        return sum(map(_numbers, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_numbers, value))
    return 8
