"""Simulate paired shadow answers: ``python -m benchmarks.judge.pairs --runs 2000``.

*Labelled*: of each pair it is known which version was right; the test is ``statistics.pairs.Discordance``,
and for "within the margin" ``statistics.pairs.Bets``. *Unlabelled*: the candidate's disagreement with stable
beyond what stable disagrees with itself, judged by ``judge.checks.see_pairs``. Pairs come in ticks of ten. Of
each case the table has the share of runs that reached the bound within the horizon, and the pairs it took.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from modelserve.domain.rollouts import LabelledPairs, PairCounts
from modelserve.judge.checks import see_pairs
from modelserve.judge.pairs import Pairs
from modelserve.statistics.pairs import Bets, Discordance, add_within

TICK = 10
ALPHA, BETA = 0.01, 0.05

Run = Callable[[NDArray[np.int64]], Iterator[float]]
"""From the counts of each tick to log E after it."""


@dataclass(frozen=True)
class Case:
    name: str
    chances: tuple[float, ...]
    """Of each way in which a pair can end; the rest is the last."""
    run: Run
    error: float
    horizon: int
    """Pairs."""


def worse(margin: float = 0.0) -> Run:
    """Ways: only stable right, only the candidate right; evidence that accuracy falls by more than margin."""

    def run(ticks: NDArray[np.int64]) -> Iterator[float]:
        known = Discordance()
        for stable, candidate, alike in ticks.tolist():
            known = known.add(LabelledPairs(alike, stable, candidate), margin)
            yield known.log

    return run


def within(margin: float) -> Run:
    """The same ways; evidence that accuracy falls by less than ``margin``."""

    def run(ticks: NDArray[np.int64]) -> Iterator[float]:
        known = Bets()
        for stable, candidate, alike in ticks.tolist():
            known = add_within(known, LabelledPairs(alike, stable, candidate), margin)
            yield known.log

    return run


def beyond_noise(limit: float) -> Run:
    """Ways: only the candidate differs from stable, only stable differs from itself, both do."""

    def run(ticks: NDArray[np.int64]) -> Iterator[float]:
        known = Pairs.begin()
        for candidate, stable, both, alike in ticks.tolist():
            pairs = candidate + stable + both + alike
            told = {"noise": stable + both, "candidate_alone": candidate, "stable_alone": stable}
            seen = PairCounts(pairs, candidate + both, repeats=pairs, **told)
            known = see_pairs(known, seen, limit)
            yield known.wealth.log

    return run


def cases() -> list[Case]:
    return [
        Case("accuracy 90 -> 88 %, 6 % discordant", (0.04, 0.02), worse(), ALPHA, 20_000),
        Case("accuracy 90 -> 85 %, 9 % discordant", (0.07, 0.02), worse(), ALPHA, 20_000),
        Case("healthy, 6 % discordant (false alarm)", (0.03, 0.03), worse(), ALPHA, 10_000),
        Case("healthy, 20 % discordant (false alarm)", (0.1, 0.1), worse(), ALPHA, 10_000),
        Case(
            "margin 2 points: accuracy 90 -> 85 %, 9 % discordant", (0.07, 0.02), worse(0.02), ALPHA, 20_000
        ),
        Case(
            "margin 2 points: accuracy 90 -> 80 %, 14 % discordant", (0.12, 0.02), worse(0.02), ALPHA, 20_000
        ),
        Case(
            "margin 2 points: worse by 2, 6 % discordant (false alarm)",
            (0.04, 0.02),
            worse(0.02),
            ALPHA,
            10_000,
        ),
        Case("within 2 points: equal, 6 % discordant", (0.03, 0.03), within(0.02), BETA, 20_000),
        Case("within 2 points: worse by 2 (false pass)", (0.04, 0.02), within(0.02), BETA, 10_000),
        Case("limit 5 %: differs 50 %, noise 0", (0.5, 0, 0), beyond_noise(0.05), ALPHA, 2_000),
        Case("limit 5 %: differs 30 %, noise 10 %", (0.25, 0.05, 0.05), beyond_noise(0.05), ALPHA, 5_000),
        Case("noise 20 % in both (false alarm)", (0.15, 0.15, 0.05), beyond_noise(0.05), ALPHA, 5_000),
        Case(
            "5 % beyond noise, the limit (false alarm)",
            (0.15, 0.1, 0.05),
            beyond_noise(0.05),
            ALPHA,
            5_000,
        ),
    ]


def pairs_needed(case: Case, rng: np.random.Generator) -> float:
    """Pairs until log E reaches its bound; infinite if it does not within the horizon."""
    chances = (*case.chances, 1 - sum(case.chances))
    ticks = rng.multinomial(TICK, chances, size=case.horizon // TICK)
    bound = -log(case.error)
    reached = (number for number, value in enumerate(case.run(ticks), 1) if value >= bound)
    return next(reached, np.inf) * TICK


def row(case: Case, runs: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    needed = np.array([pairs_needed(case, rng) for _ in range(runs)])
    share = float(np.isfinite(needed).mean())
    within = [f"{n:,.0f}" if np.isfinite(n) else "never" for n in _quantiles(needed)]
    return f"| {case.name} | {share:.2%} | {' | '.join(within)} |"


def _quantiles(needed: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.quantile(needed, [0.5, 0.9], method="inverted_cdf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print("| case | alarm or pass | median pairs | 90th percentile |\n| --- | ---: | ---: | ---: |")
    for case in cases():
        print(row(case, given.runs, given.seed), flush=True)


if __name__ == "__main__":
    main()
