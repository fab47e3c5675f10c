"""The two checks beside the guardrails: shadow answers that differ, and whether traffic is split as told.

*Shadow.* Against "a pair differs with chance <= maxDisagreement", a mixture of likelihood ratios with odds
beyond the limit. Where stable answers twice, against "the candidate differs from stable at most
maxDisagreement more often than stable does from itself", a mixture of bets on each request's difference of
the two: both look at the same input, so what is hard for any version cancels out. *Split.* Against "the
candidate's share of requests has odds within a factor 1.25 of what the proxy was told", the mean of
likelihood ratios beyond either end; the tolerance is for retries and for counters that are not read at the
same instant. All are e-processes, so looking at every interval is free.
"""

from __future__ import annotations

from functools import lru_cache
from math import log

from modelserve.domain.rollouts import Observation, PairCounts
from modelserve.judge.evidence import SPLIT_ODDS
from modelserve.judge.pairs import DISAGREEMENT_ODDS, Pairs
from modelserve.judge.stage import Stage
from modelserve.statistics.blocks import clip, log_likelihood_ratio, odds_shift
from modelserve.statistics.pairs import log_bets
from modelserve.statistics.wealth import Wealth

SPLIT_BOUND = -log(1e-3)
_TOLERATED_ODDS = 1.25
_SETTLING = 2.0  # seconds after a change of weight in which counters may still tell of the old one
_SURPLUS = log(10.0)  # how far beyond its bound the split's evidence may pile up, so that a repair shows soon


def see_pairs(known: Pairs, seen: PairCounts, limit: float) -> Pairs:
    """Add one interval's pairs; a disagreement on which the candidate failed is one too."""
    bad = min(max(seen.disagreements, seen.candidate_failures), seen.pairs)
    factors = _against_limit(seen.pairs, bad, limit) if seen.repeats is None else _against_noise(seen, limit)
    return known.add(seen, bad, known.wealth.grow(factors))


def _against_limit(pairs: int, bad: int, limit: float) -> list[float]:
    t0 = clip(limit)
    return [log_likelihood_ratio(pairs, bad, clip(odds_shift(t0, odds)), t0) for odds in DISAGREEMENT_ODDS]


def _against_noise(seen: PairCounts, limit: float) -> list[float]:
    """Only pairs to which stable answered twice say something; the others are not held against anybody."""
    same = (seen.repeats or 0) - seen.candidate_alone - seen.stable_alone
    return log_bets(seen.candidate_alone, same, seen.stable_alone, limit)


def see_split(known: Wealth, seen: Observation, stage: Stage) -> Wealth:
    """Add one interval's requests; nothing while the change of weight is still settling."""
    told = seen.candidate_weight
    if (
        not 0 < told < 1
        or stage.elapsed_in_stage < _SETTLING
        or seen.candidate is None
        or seen.stable is None
    ):
        return known
    n, total = seen.candidate.arrived, seen.candidate.arrived + seen.stable.arrived
    return known.grow(_split_factors(n, total, told)).at_most(SPLIT_BOUND + _SURPLUS)


def _split_factors(n: int, total: int, told: float) -> list[float]:
    return [n * to_candidate + (total - n) * to_stable for to_candidate, to_stable in _split_stakes(told)]


@lru_cache(maxsize=256)
def _split_stakes(told: float) -> tuple[tuple[float, float], ...]:
    """For each alternative what a request that goes to the candidate, or to stable, adds to the evidence."""
    stakes = []
    for sign in (1, -1):
        t0 = odds_shift(told, _TOLERATED_ODDS**sign)
        shares = [odds_shift(told, odds**sign) for odds in SPLIT_ODDS]
        stakes += [(log(t1 / t0), log((1 - t1) / (1 - t0))) for t1 in shares]
    return tuple(stakes)
