"""What the judge remembers between two looks: immutable, JSON-serialisable, of constant size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from modelserve.domain.guardrails import Metric
from modelserve.domain.rollouts import ArmCounts, LabelledPairs, Observation, Trials
from modelserve.domain.services import RolloutSpec
from modelserve.errors import InvalidInput
from modelserve.judge.pairs import Pairs
from modelserve.judge.plan import Rule, plan
from modelserve.statistics.dispersion import Dispersion
from modelserve.statistics.histograms import remember
from modelserve.statistics.pairs import Bets, Discordance
from modelserve.statistics.wealth import Wealth

VERSION = 4
SPLIT_ODDS = (1.6, 2.5, 10.0)
FIRST_HARM_STAKE = 0.9
"""Most faults show at once; a late one waits for e-values ten times larger, which a bad minute gives."""
FIRST_SAFETY_STAKE = 0.9
_REQUESTS_KEPT = 10_000.0
_LATENCIES_KEPT = 5_000.0


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests and failures of both arms, for people and for the record."""

    candidate: int = 0
    candidate_failures: int = 0
    stable: int = 0
    stable_failures: int = 0

    def add(self, candidate: ArmCounts | None, stable: ArmCounts | None) -> Tally:
        c, s = candidate or ArmCounts(), stable or ArmCounts()
        return Tally(
            self.candidate + c.requests,
            self.candidate_failures + c.failures,
            self.stable + s.requests,
            self.stable_failures + s.failures,
        )


@dataclass(frozen=True, slots=True)
class Recent:
    """Fading memory of one arm: about the last 10,000 requests and 5,000 latencies."""

    requests: float = 0.0
    failures: float = 0.0
    latency: tuple[float, ...] = ()

    def add(self, counts: ArmCounts | None) -> Recent:
        if counts is None:
            return self
        latency = self.latency
        if any(counts.latency):
            latency = remember(latency, counts.latency, _LATENCIES_KEPT)
        keep = min(1.0, _REQUESTS_KEPT / self.requests) if self.requests > 0 else 1.0
        return Recent(self.requests * keep + counts.requests, self.failures * keep + counts.failures, latency)

    def add_outcomes(self, seen: Trials) -> Recent:
        """Outcomes of one guardrail instead of requests."""
        keep = min(1.0, _REQUESTS_KEPT / self.requests) if self.requests > 0 else 1.0
        return Recent(self.requests * keep + seen.n, self.failures * keep + seen.bad)


@dataclass(frozen=True, slots=True)
class Harm:
    """Evidence that the candidate is worse: one wealth over probes times odds; noise for each probe."""

    noise: tuple[Dispersion, ...]
    wealth: Wealth


@dataclass(frozen=True, slots=True)
class Safety:
    """Evidence that the candidate is within the margin: ``wealth[probe][weight it may lead to]``."""

    noise: tuple[Dispersion, ...]
    wealth: tuple[tuple[Wealth, ...], ...]


@dataclass(frozen=True, slots=True)
class Track:
    """Everything about one guardrail."""

    metric: Metric
    harm: Harm
    safety: Safety


@dataclass(frozen=True, slots=True)
class Sums:
    """Outcomes of both arms and how many of them were bad; as :class:`Tally`, of real numbers."""

    candidate: float = 0.0
    candidate_failures: float = 0.0
    stable: float = 0.0
    stable_failures: float = 0.0

    def add(self, candidate: Trials, stable: Trials) -> Sums:
        return Sums(
            self.candidate + candidate.n,
            self.candidate_failures + candidate.bad,
            self.stable + stable.n,
            self.stable_failures + stable.bad,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a segment, or all of a guardrail's outcomes (then its name is empty)."""

    name: str
    harm: Harm
    safety: Safety
    past: Recent = Recent()
    """Fading memory of stable's outcomes that were compared; those that wait are not in it."""
    whole: Sums = Sums()
    waiting: Sums = Sums()
    """Outcomes of one arm that wait for the first of the other: a comparison needs both."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Shadow pairs with a label: see :mod:`modelserve.judge.labelled`."""

    whole: LabelledPairs = field(default_factory=LabelledPairs)
    harm: Discordance = field(default_factory=Discordance)
    within: tuple[Bets, ...] = ()
    """For each weight that a step may lead to; empty until a pair is labelled."""


@dataclass(frozen=True, slots=True)
class Family:
    """A guardrail that is told by outcomes: its parts, in the order in which they appeared."""

    key: str
    parts: tuple[Part, ...] = ()
    labelled: Labelled = Labelled()
    silence: float = 0.0
    """Seconds since the candidate's outcomes were last told."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A plain limit: the candidate's last value, and for how long it has been too large."""

    key: str
    value: float | None = None
    looks: int = 0
    """Readings in a row that were above the limit."""
    seconds: float = 0.0
    """Since the first of them."""
    silence: float = 0.0
    """Seconds since a value was last told."""


@dataclass(frozen=True, slots=True)
class Silence:
    """How long nothing was heard, and what should have been."""

    candidate: float = 0.0
    """Seconds since the candidate last got a request (in the shadow: since a pair was last compared)."""
    stable: float = 0.0
    """Seconds since stable last got a request."""
    missed: float = 0.0
    """Requests that the candidate should have got meanwhile, by its share of what stable got."""

    def listen(self, seen: Observation, share: float, heard: bool) -> Silence:
        stable = seen.stable.arrived if seen.stable else 0
        return Silence(
            0.0 if heard else self.candidate + seen.seconds,
            0.0 if stable else self.stable + seen.seconds,
            0.0 if heard else self.missed + share * stable,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that verdicts rest on. ``stage`` names the stage of the last look."""

    tracks: tuple[Track, ...]
    split: Wealth
    pairs: Pairs
    families: tuple[Family, ...] = ()
    limits: tuple[Limit, ...] = ()
    stable: Recent = Recent()
    candidate: Recent = Recent()
    whole: Tally = Tally()
    step: Tally = Tally()
    seen: float = 0.0
    """Seconds in which both arms (or the only one) were seen."""
    warm: float | None = None
    """Seconds since the candidate's first live request; None before it."""
    silence: Silence = Silence()
    stage: str = ""
    version: int = VERSION

    def dump(self) -> dict[str, Any]:
        """As JSON types; :meth:`load` gives back an equal value, to the last bit."""
        dumped: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return dumped

    @staticmethod
    def load(data: Mapping[str, Any]) -> Evidence:
        """Raises InvalidInput for what :meth:`dump` of this version did not write."""
        try:
            evidence = _ADAPTER.validate_python(dict(data))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"stored evidence can't be read: {where}: {first['msg']}") from error
        if evidence.version != VERSION:
            raise InvalidInput(f"stored evidence has version {evidence.version}; this judge reads {VERSION}")
        return evidence


_ADAPTER = TypeAdapter(Evidence)


def start(spec: RolloutSpec) -> Evidence:
    """No evidence yet, for a rollout under ``spec``."""
    made = plan(spec)
    steps = len(made.weights)
    return Evidence(
        tracks=tuple(Track(rule.metric, no_harm(rule), no_safety(rule, steps)) for rule in made.rules),
        split=Wealth.begin(2 * len(SPLIT_ODDS)),
        pairs=Pairs.begin(),
        families=tuple(Family(rule.key) for rule in made.outcomes),
        limits=tuple(Limit(guardrail.key) for guardrail in made.limits),
    )


def no_harm(rule: Rule) -> Harm:
    probes = len(rule.harm_probes)
    wealth = Wealth.begin(probes * len(rule.harm_odds), FIRST_HARM_STAKE)
    return Harm((Dispersion(),) * probes, wealth)


def no_safety(rule: Rule, steps: int) -> Safety:
    """For each of ``steps`` weights that a step may lead to; nothing where safety is never asked for."""
    probes = len(rule.safety_probes)
    wealth = Wealth.begin(1, FIRST_SAFETY_STAKE)
    return Safety((Dispersion(),) * probes, ((wealth,) * steps,) * probes)
