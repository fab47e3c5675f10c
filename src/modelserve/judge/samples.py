"""From counts to probes: what one observation says to one comparison.

All limits and chances come from the stable arm's earlier answers, so they are predictable. A latency limit
is a bucket bound: harm uses the one just above the quantile (at most ``1 - q`` of stable's answers lie
beyond), safety the one just below (at least ``1 - q``), so that the buckets' width counts against neither
promise. The candidate's limit lies the guardrail's margin higher; for safety no higher than the last bucket,
beyond which no answer could be seen, however slow.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelserve.domain.latency import BOUNDS
from modelserve.domain.rollouts import ArmCounts
from modelserve.judge.evidence import Recent
from modelserve.judge.plan import Rule
from modelserve.statistics.blocks import Block
from modelserve.statistics.dispersion import Dispersion, carried_by_time
from modelserve.statistics.histograms import Tails

_PRIOR_SLOW, _PRIOR_ANSWERS = 0.5, 20.0
_ENOUGH_LATENCIES = 200.0
_LARGEST = 0.99


@dataclass(frozen=True, slots=True)
class View:
    """One arm in one interval, or what is remembered of it, ready to be split at any limit."""

    requests: float
    failures: float
    slow: Tails

    @classmethod
    def of(cls, counts: ArmCounts | Recent | None) -> View:
        return cls(counts.requests, counts.failures, Tails(counts.latency)) if counts else UNSEEN

    def failure_rate(self, prior: tuple[float, float]) -> float:
        """Never 0 nor 1: ``prior``, (bad, all), is assumed beside what was seen."""
        bad, requests = prior
        return min((self.failures + bad) / (self.requests + requests), _LARGEST)

    def limit(self, quantile: float, above: bool) -> int | None:
        """First bucket beyond the limit at ``quantile``; None until 200 latencies were seen."""
        if self.slow.total < _ENOUGH_LATENCIES:
            return None
        return self.slow.bucket_of(quantile) + (1 if above else 0)

    def slow_share(self, bucket: int) -> float:
        """Share of answers in ``bucket`` and above; never 0 nor 1."""
        share = (self.slow.beyond(bucket) + _PRIOR_SLOW) / (self.slow.total + _PRIOR_ANSWERS)
        return min(share, _LARGEST)


UNSEEN = View(0, 0, Tails(()))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a probe expects of the next interval."""

    limit: int | None
    """First bucket of stable's slow answers; None for failures."""
    shift: int
    """Buckets by which the candidate's limit lies higher."""
    base: float
    """Expected chance on stable."""
    healthy: float
    """Expected chance of a candidate that behaves as stable does, by the candidate's limit."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a probe saw in one interval."""

    block: Block
    """Bad answers, each arm by its own limit."""
    alike: Block
    """Bad answers, both arms by stable's limit; for the dispersion."""


def outlook(quantile: float | None, rule: Rule, past: View, above: bool) -> Outlook | None:
    """``quantile`` None is failures. None while stable's past is too short for a latency limit."""
    if quantile is None:
        rate = past.failure_rate(rule.prior)
        return Outlook(None, 0, rate, rate)
    limit = past.limit(quantile, above)
    if limit is None:
        return None
    shift = rule.allowance.above(limit)
    if not above:
        shift = min(shift, len(BOUNDS) - limit)
    return Outlook(limit, shift, past.slow_share(limit), past.slow_share(limit + shift))


def sample(expected: Outlook, stable: View, candidate: View) -> Sample:
    """Split both arms' answers at the limits of ``expected``; a latency not measured is an empty arm."""
    limit = expected.limit
    if limit is None:
        block = Block(candidate.requests, candidate.failures, stable.requests, stable.failures)
        return Sample(block, block)
    n, m, g = candidate.slow.total, stable.slow.total, stable.slow.beyond(limit)
    block = Block(n, candidate.slow.beyond(limit + expected.shift), m, g)
    return Sample(block, Block(n, candidate.slow.beyond(limit), m, g))


def carried_index(expected: Outlook, noise: Dispersion, block: Block) -> float:
    """Dispersion index for a comparison of arms: failures come in groups, slowness lasts a while."""
    return noise.index(1.0 if expected.limit is None else carried_by_time(block))
