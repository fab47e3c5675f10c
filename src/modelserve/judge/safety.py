"""Evidence that the candidate is within the margin: promotes.

*Theorem.* For each weight w' that a step may lead to there is one process, against "p_c >= ratio p_b +
margin/w'". While that holds in every interval since the first, the process reaches 1/beta with probability
at most beta. A promotion demands every probe of every demanded guardrail (intersection-union: if one is
worse than its margin, its own process must have erred, so no correction is needed).

*What carries over.* The margin shrinks from step to step, so "worse than the smaller margin" is the wider
null: evidence against the larger margin says nothing about the smaller one. Therefore all margins are tested
side by side from the first request on, each by its own process; nothing has to be thrown away. Yet a
candidate may do worse under more traffic, so on entering a step (the first one after the shadow, too) each
process gives wealth away down to half of what a promotion needs (giving away keeps an e-process one): at
least half of the evidence for a promotion comes from the step that it leaves. New starts, paid from a tenth
held in reserve, let a candidate with a bad first minute recover.

*Power.* The alternative is a candidate that fails as stable does, with chances from earlier intervals.

*Heuristic.* The division by the dispersion index, as for harm.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from modelserve.judge.evidence import Safety
from modelserve.judge.plan import Rule
from modelserve.judge.samples import Outlook, View, carried_index, outlook, sample
from modelserve.judge.stage import Stage
from modelserve.statistics.blocks import Block, log_within
from modelserve.statistics.dispersion import Dispersion
from modelserve.statistics.wealth import Wealth

_FLOOR = 0.05  # of the margin: no candidate is expected to fail less, so that one failure does not undo all
_FAR = 10_000_000


def compare(
    safety: Safety, rule: Rule, weights: tuple[float, ...], stable: View, candidate: View, past: View
) -> Safety:
    """One interval; ``past`` is what is remembered of stable. An arm without answers adds no evidence.

    ``weights`` are those that may still follow; the processes of weights already reached stay as they are.
    """
    margins = [rule.margin_for(weight) for weight in weights]
    noise: list[Dispersion] = []
    wealth: list[tuple[Wealth, ...]] = []
    for quantile, known, row in zip(rule.safety_probes, safety.noise, safety.wealth, strict=True):
        expected = outlook(quantile, rule, past, above=False)
        if expected is None:
            wealth.append(row)
            noise.append(known)
            continue
        found = sample(expected, stable, candidate)
        wealth.append(
            _grow(
                row, found.block, expected, rule.ratio, margins, carried_index(expected, known, found.block)
            )
        )
        noise.append(known.see(found.alike))
    return Safety(tuple(noise), tuple(wealth))


def _grow(
    row: tuple[Wealth, ...], block: Block, expected: Outlook, ratio: float, margins: list[float], index: float
) -> tuple[Wealth, ...]:
    if block.empty:
        return row
    factors = [log_within(block, _aim(expected, e), expected.base, ratio, e) / index for e in margins]
    reached = len(row) - len(margins)
    grown = [process.grow((factor,)) for process, factor in zip(row[reached:], factors, strict=True)]
    return (*row[:reached], *grown)


def _aim(expected: Outlook, margin: float) -> float:
    return max(expected.healthy, _FLOOR * margin)


def enter_step(safety: Safety, bound: float) -> Safety:
    """Keep at most half of the evidence that a promotion needs, and start afresh beside it."""
    rows = tuple(tuple(process.at_most(bound / 2).restart() for process in row) for row in safety.wealth)
    return replace(safety, wealth=rows)


def restart(safety: Safety) -> Safety:
    return replace(safety, wealth=tuple(tuple(p.restart() for p in row) for row in safety.wealth))


def evidence_for(safety: Safety, step: int) -> float:
    """log e-value of the weakest probe for the weight with index ``step``; 0 where none is kept."""
    return min((row[step].log for row in safety.wealth), default=0.0)


def needed(safety: Safety, rule: Rule, step: int, bound: float, stage: Stage, past: View) -> int | None:
    """Candidate requests until a healthy candidate reaches ``bound``; None if that can't be said."""
    counts = [0]
    for quantile, noise, row in zip(rule.safety_probes, safety.noise, safety.wealth, strict=True):
        missing = bound - row[step].log
        if missing <= 0:
            continue
        expected = outlook(quantile, rule, past, above=False)
        if expected is None or not 0 < stage.weight < 1:
            return None
        growth = _growth(expected, rule, stage, noise)
        if growth * _FAR <= missing:
            return None
        counts.append(ceil(missing / growth))
    return max(counts)


def _growth(expected: Outlook, rule: Rule, stage: Stage, noise: Dispersion) -> float:
    """Expected log e-value that one request of a healthy candidate adds."""
    margin, share = rule.margin_for(stage.next_weight), stage.weight
    aim = _aim(expected, margin)
    block = Block(share, share * aim, 1 - share, (1 - share) * expected.base)
    index = carried_index(expected, noise, block)
    return log_within(block, aim, expected.base, rule.ratio, margin) / (share * index)
