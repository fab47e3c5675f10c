"""Evidence that the candidate is worse: rolls back.

*Theorem.* While p_c <= p_b holds in every interval (for a latency: the candidate's share beyond the raised
limit is no larger than stable's share beyond its own, that is, the margin is respected), the mean over probes
and odds of the products of :func:`log_worse` is an e-process. It may start afresh at any moment (new starts
are paid from a reserve), so a good first hour hides no later fault. The whole rollout shares one budget: the
weighted mean of the guardrails' e-processes reaches 1/alpha with probability at most alpha, under any
dependence between guardrails (Vovk & Wang, Ann. Stat. 49, 2021, arXiv 1912.06116).

For errors there is no margin: any increase that can be shown rolls back. A margin in the harm test would
let a candidate that is worse, though tolerably, stay; it costs detection and buys little, since a candidate
that is no worse is protected at alpha already. For latency the guardrail's own increase is the margin,
because a visible but tolerable slowdown is what owners allow by setting it. For outcomes (labels, custom
figures) the margin is in the null too: p_c <= p_b + margin, with :func:`log_beyond`.

*Heuristic.* Answers that fail or slow down together are not independent. Failures of one look count as little
more than one until stable has shown how they come; what comes in groups beyond doubt is divided by the
dispersion index. What of this is a theorem is said in :mod:`modelserve.statistics.dispersion`.

*One stall is one event.* A server that stops for a moment makes everybody slow who waits for it, however many
they are. So one interval may add at most a third of what a rollback needs to the evidence on latency: an
e-variable that is cut off stays one, and a slowdown that lasts is found a few looks later.

*Probation* has no stable traffic. There the chance is compared with a fixed limit: the upper confidence
limit of what stable did during the rollout, plus the margin. That is valid as long as stable would still
behave as it did; the world may not, so latency must be about twice as slow before it counts.
"""

from __future__ import annotations

from modelserve.domain.latency import BUCKETS_PER_DOUBLING
from modelserve.judge.evidence import Harm, Sums, Tally
from modelserve.judge.plan import Rule
from modelserve.judge.samples import Outlook, View, carried_index, outlook, sample
from modelserve.statistics.blocks import Block, log_beyond, log_likelihood_ratio, log_worse, odds_shift
from modelserve.statistics.confidence import limits
from modelserve.statistics.dispersion import Dispersion

_RECORD_ERROR = 0.001
_LARGEST_LIMIT = 0.99


def compare(harm: Harm, rule: Rule, stable: View, candidate: View, past: View) -> Harm:
    """One interval; ``past`` is what is remembered of stable. An arm without answers adds no evidence."""
    factors: list[float] = []
    noise: list[Dispersion] = []
    for quantile, known in zip(rule.harm_probes, harm.noise, strict=True):
        expected = outlook(quantile, rule, past, above=True)
        if expected is None:
            factors += [0.0] * len(rule.harm_odds)
            noise.append(known)
            continue
        found = sample(expected, stable, candidate)
        block, index = _tempered(expected, known, rule, found.block)
        earned = _against_stable(block, expected.base, rule, index)
        factors += [min(factor, rule.most) for factor in earned] if max(earned) > rule.most else earned
        noise.append(known.see(found.alike))
    return Harm(tuple(noise), harm.wealth.grow(factors))


def _tempered(expected: Outlook, known: Dispersion, rule: Rule, block: Block) -> tuple[Block, float]:
    """Failures of one look may be one burst; outcomes of labels and custom sources come by other roads."""
    if expected.limit is None and rule.harm_margin is None:
        return known.grouped(block)
    return block, carried_index(expected, known, block)


def _against_stable(block: Block, base: float, rule: Rule, index: float) -> list[float]:
    if rule.harm_margin is None:
        return [log_worse(block, odds_shift(base, odds), base) / index for odds in rule.harm_odds]
    margin = rule.harm_margin
    edge = min(base + margin, _LARGEST_LIMIT)
    aims = [odds_shift(edge, odds) for odds in rule.harm_odds]
    return [log_beyond(block, aim, base, 1.0, margin) / index for aim in aims]


def restart(harm: Harm) -> Harm:
    return Harm(harm.noise, harm.wealth.restart())


def watch(harm: Harm, rule: Rule, candidate: View, record: View, whole: Tally | Sums) -> Harm:
    """One interval of probation, against what stable did before: lately, and in the whole rollout."""
    factors: list[float] = []
    for quantile, noise in zip(rule.harm_probes, harm.noise, strict=True):
        if quantile is None:
            limit = failure_limit(rule, whole)
            block = Block(candidate.requests, candidate.failures, 0, 0)
        else:
            limit, bucket = _slow_limit(rule, quantile, record)
            block = Block(candidate.slow.total, candidate.slow.beyond(bucket), 0, 0)
        factors += _against_limit(block, limit, rule, noise)
    return Harm(harm.noise, harm.wealth.grow(factors))


def failure_limit(rule: Rule, whole: Tally | Sums) -> float:
    """What probation allows: ratio times the upper confidence limit of stable's failures, plus the margin."""
    return rule.ratio * limits(whole.stable_failures, whole.stable, _RECORD_ERROR)[1] + rule.margin


def _slow_limit(rule: Rule, quantile: float, record: View) -> tuple[float, int]:
    """(share allowed, first bucket beyond the doubled limit); (1, 0) without a record."""
    bucket = record.limit(quantile, above=True)
    if bucket is None:
        return 1.0, 0
    upper = limits(record.slow.beyond(bucket), record.slow.total, _RECORD_ERROR)[1]
    return upper + rule.margin, bucket + rule.allowance.above(bucket) + BUCKETS_PER_DOUBLING


def _against_limit(block: Block, limit: float, rule: Rule, noise: Dispersion) -> list[float]:
    if limit >= _LARGEST_LIMIT:
        return [0.0] * len(rule.harm_odds)
    index = noise.index()
    return [
        log_likelihood_ratio(block.n, block.f, odds_shift(limit, odds), limit) / index
        for odds in rule.harm_odds
    ]
