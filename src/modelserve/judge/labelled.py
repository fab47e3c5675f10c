"""Shadow pairs of which a label tells which answer was right: evidence for and against the candidate.

Both answers are to the same request and share its label, so what is hard for any version cancels out, and
labels may come as late as they like. *Harm*: against "the candidate is right less often by at most the
guardrail's margin". *Safety*: for each weight that a step may lead to, against "less often by margin / weight
or more", as :mod:`modelserve.judge.safety` does. The shadow ends only once a required guardrail is shown to
be safe by the pairs that are labelled; where none is, the canary asks.

The guardrail's share of the error budget goes half to its pairs and half to its other labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelserve.domain.rollouts import LabelledPairs
from modelserve.judge.evidence import Family, Labelled, Sums
from modelserve.judge.plan import Plan, Rule
from modelserve.statistics.pairs import Bets, add_within


def learn(families: tuple[Family, ...], made: Plan, seen: Mapping[str, LabelledPairs]) -> tuple[Family, ...]:
    """Add what one interval's labels told."""
    if not seen:
        return families
    return tuple(
        replace(family, labelled=_add(family.labelled, rule, made, seen[rule.key]))
        if rule.paired and rule.key in seen
        else family
        for family, rule in zip(families, made.outcomes, strict=True)
    )


def _add(known: Labelled, rule: Rule, made: Plan, seen: LabelledPairs) -> Labelled:
    within = known.within or tuple(Bets() for _ in made.weights)
    return Labelled(
        known.whole.add(seen),
        known.harm.add(seen, rule.margin),
        tuple(
            add_within(bets, seen, rule.margin_for(weight))
            for bets, weight in zip(within, made.weights, strict=True)
        ),
    )


def called(family: Family) -> str:
    """As people read it: ``accuracy of shadow pairs``."""
    return f"{family.key} of shadow pairs"


def safety(known: Labelled, step: int) -> float:
    """log e-value for the weight with index ``step``; 0 where no pair is labelled."""
    return known.within[step].log if known.within else 0.0


def sums(known: Labelled) -> Sums:
    """How bad the answers of both were."""
    whole = known.whole
    return Sums(
        whole.n, whole.both_wrong + whole.stable_right, whole.n, whole.both_wrong + whole.candidate_right
    )
