"""From the owner's policy to what is tested: a rule for each guardrail, and how the error budgets are shared.

A *probe* is one comparison that a guardrail makes: for ``error_rate`` failures, for a latency the answers
slower than a limit at one quantile. A rule has probes for *harm* (evidence that the candidate is worse) and
for *safety* (evidence that it is not worse than the margin); a ``None`` quantile stands for failures, or for
whatever a guardrail's outcomes call bad.

Errors and latency of all requests are *counted* by the proxy and the servers. Labels, custom sources and the
parts of a segment come as *outcomes*. A plain *limit* is not tested at all: it has no error bound.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import floor, inf, log, log2

from modelserve.domain.guardrails import Guardrail, Kind, Metric
from modelserve.domain.latency import BOUNDS, BUCKETS_PER_DOUBLING
from modelserve.domain.services import OnDisagreement, RolloutSpec
from modelserve.judge.stage import Stage

ERROR_ODDS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 500.0)
LATENCY_ODDS = (1.15, 1.4, 2.0, 3.5, 8.0)
OUTCOME_ODDS = (1.1, 1.3, 1.7, 2.5, 5.0, 15.0, 60.0)
ERROR_RATIO = 1.25
SLOW_SHARE = 0.01
"""Extra share of answers beyond the limit that a latency guardrail tolerates in its safety test.

Showing that a quantile is not worse *at all* beyond its margin takes 4,000 to 14,000 requests for a p99;
showing that at most one answer in a hundred more is slow takes hundreds.
"""
LEAST_INCREASE = 0.001
"""Seconds: a model of 2 ms that takes 2.4 hurts nobody, and so much can come from a colder cache alone."""
LATENCY_LOOKS = 3
"""Looks in which a slowdown must show at least before it rolls back."""
TAIL_WEIGHT = 0.25
"""From this weight on (and before the last step) p99 must be shown to be safe."""
_LARGEST_MARGIN = 0.5

_HARM_PROBES: dict[Metric, tuple[float | None, ...]] = {
    Metric.LATENCY_P50: (0.5,),
    Metric.LATENCY_P99: (0.9, 0.95, 0.99),
}
_SAFETY_PROBES: dict[Metric, tuple[float | None, ...]] = {
    Metric.LATENCY_P50: (0.5,),
    Metric.LATENCY_P99: (0.9, 0.99),
}
_BAD_ONES: tuple[float | None, ...] = (None,)
_FAILURES_PRIOR = (0.5, 500.0)
_OUTCOMES_PRIOR = (1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Allowance:
    """By how much the candidate's latency limit may lie above the stable's: the larger of the two counts."""

    buckets: int
    seconds: float

    def above(self, limit: int) -> int:
        """In buckets, rounded towards strictness; stable's limit is the lower bound of bucket ``limit``.

        That may lie past the last bucket: then nothing lies beyond it.
        """
        bound = BOUNDS[min(limit, len(BOUNDS)) - 1] if limit else 0.0
        return max(self.buckets, bisect_right(BOUNDS, bound + self.seconds) - limit)


@dataclass(frozen=True, slots=True)
class Rule:
    """One guardrail as it is tested."""

    guardrail: Guardrail
    share: float
    """Part of the false-rollback budget; also its weight in the mean of e-values."""
    ratio: float
    """Safe means: candidate < ratio * stable + margin / next weight."""
    margin: float
    allowance: Allowance
    """Of a latency; nothing for failures and outcomes."""
    harm_odds: tuple[float, ...]
    harm_margin: float | None = None
    """Of outcomes, harm means: candidate > stable + this. None: any increase that can be shown is harm."""
    most: float = inf
    """Largest log e-value that one interval may add to the evidence of harm."""
    paired: bool = False
    """Whether labels may also tell which answer of a shadow pair was right."""
    prior: tuple[float, float] = _FAILURES_PRIOR
    """(bad, all) that are assumed of stable beside what was seen of it."""

    key: str = field(init=False)
    metric: Metric = field(init=False)
    required: bool = field(init=False)
    """Whether safety is asked for at all."""
    harm_probes: tuple[float | None, ...] = field(init=False)
    safety_probes: tuple[float | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        rail = self.guardrail
        derived = {
            "key": rail.key,
            "metric": rail.metric,
            "required": rail.is_required,
            "harm_probes": _HARM_PROBES.get(rail.metric, _BAD_ONES),
            "safety_probes": _SAFETY_PROBES.get(rail.metric, _BAD_ONES) if rail.is_required else (),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def margin_for(self, weight: float) -> float:
        """Constant harm: a step to ``weight`` tolerates ``margin / weight``, the same share of all users."""
        return min(self.margin / weight, _LARGEST_MARGIN)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the judge does for one :class:`RolloutSpec`; bounds are natural logarithms."""

    rules: tuple[Rule, ...]
    """Of what is counted for all requests: errors and latency."""
    outcomes: tuple[Rule, ...]
    """Of what comes as outcomes: labels, custom sources, parts of segments."""
    limits: tuple[Guardrail, ...]
    """Plain limits."""
    order: tuple[str, ...]
    """Keys of all guardrails as the owner wrote them."""
    weights: tuple[float, ...]
    """The weights that a canary step can lead to."""
    rollback_bound: float
    safety_bound: float
    disagreement_share: float
    """Part of the false-rollback budget that shadow disagreement gets; 0 if it only holds."""

    def rule(self, key: str) -> Rule:
        return next(rule for rule in (*self.rules, *self.outcomes) if rule.key == key)

    def step(self, next_weight: float) -> int:
        """Index into ``weights`` of the smallest one that is not below ``next_weight``."""
        reached = (i for i, weight in enumerate(self.weights) if weight >= next_weight - 1e-9)
        return next(reached, len(self.weights) - 1)

    def ahead(self, stage: Stage) -> tuple[float, ...]:
        """The weights that may still follow; from the shadow all, since traffic tells where to begin."""
        return self.weights if stage.kind == "shadow" else self.weights[self.step(stage.next_weight) :]


@lru_cache(maxsize=64)
def plan(spec: RolloutSpec) -> Plan:
    """Errors get half of the budget, the rest is shared evenly; what is not tested takes nothing."""
    judge, shadow = spec.judge, spec.shadow
    rolls_back = shadow is not None and shadow.on_disagreement is OnDisagreement.ROLL_BACK
    tested = [g for g in judge.guardrails if g.kind is not Kind.LIMIT]
    claims = [2.0 if g.key == Metric.ERROR_RATE else 1.0 for g in tested] + [1.0] * rolls_back
    shares = _shares(claims)
    most = -log(judge.false_rollback) / LATENCY_LOOKS
    rules = [_rule(g, share, most) for g, share in zip(tested, shares, strict=False)]
    if shadow is not None:
        rules = [replace(rule, paired=_pairable(rule.guardrail)) for rule in rules]
    return Plan(
        rules=tuple(rule for rule in rules if not by_outcomes(rule.guardrail)),
        outcomes=tuple(rule for rule in rules if by_outcomes(rule.guardrail)),
        limits=tuple(g for g in judge.guardrails if g.kind is Kind.LIMIT),
        order=tuple(g.key for g in judge.guardrails),
        weights=spec.canary.ladder[1:] or (1.0,),
        rollback_bound=-log(judge.false_rollback),
        safety_bound=-log(judge.false_promotion),
        disagreement_share=shares[-1] if rolls_back else 0.0,
    )


def by_outcomes(guardrail: Guardrail) -> bool:
    """Whether its figures come as outcomes; else the proxy and the servers count them."""
    metric = guardrail.metric
    return metric.of_labels or metric is Metric.CUSTOM or guardrail.segment is not None


def _pairable(guardrail: Guardrail) -> bool:
    """Whether a label can tell of two answers to one request which was right: a score speaks of one alone."""
    return guardrail.metric in (Metric.ACCURACY, Metric.RECALL) and guardrail.segment is None


def demanded(rule: Rule, weight: float, final: bool) -> bool:
    """Whether a step from ``weight`` asks that a guardrail be shown safe."""
    if not rule.required:
        return False
    return rule.metric is not Metric.LATENCY_P99 or weight >= TAIL_WEIGHT - 1e-9 or final


def _shares(claims: list[float]) -> list[float]:
    """A claim of 2 gets half of everything, or all if it is alone; claims of 1 share the rest evenly."""
    ones = claims.count(1.0)
    if len(claims) == ones:
        return [1 / ones for _ in claims]
    return [(0.5 if ones else 1.0) if claim == 2.0 else 0.5 / ones for claim in claims]


def _rule(guardrail: Guardrail, share: float, most: float) -> Rule:
    increase = guardrail.margin
    if guardrail.metric is Metric.ERROR_RATE:
        ratio = ERROR_RATIO if guardrail.max_ratio is None else guardrail.max_ratio
        return Rule(guardrail, share, ratio, increase, _NOTHING, ERROR_ODDS)
    if by_outcomes(guardrail):
        return Rule(
            guardrail, share, 1.0, increase, _NOTHING, OUTCOME_ODDS, increase, inf, prior=_OUTCOMES_PRIOR
        )
    buckets = max(1, floor(BUCKETS_PER_DOUBLING * log2(1 + increase)))
    allowance = Allowance(
        buckets, LEAST_INCREASE if guardrail.min_increase is None else guardrail.min_increase
    )
    return Rule(guardrail, share, 1.0, SLOW_SHARE, allowance, LATENCY_ODDS, most=most)


_NOTHING = Allowance(0, 0.0)
