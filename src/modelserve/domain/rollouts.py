"""The journey of a candidate: what is seen of it, what is decided about it, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Revision:
    """An immutable snapshot: one artefact with the settings of the server that runs it."""

    service: str
    number: int
    digest: str
    spec: Mapping[str, Any]
    """The whole ModelService, as its file would say it."""
    package: str
    """Folder of the artefact in the store."""
    created: float
    """Unix seconds."""
    deterministic: bool = True
    """Whether equal requests get equal answers, as far as its package tells."""

    @property
    def name(self) -> str:
        return f"{self.service}-{self.number:05d}"


class Phase(StrEnum):
    """Each value completes the sentence: the rollout is ..."""

    LOADING = "loading"
    """The candidate's servers start and warm up; no client and no copy reaches them."""
    SHADOW = "shadow"
    """The candidate gets copies of live requests; its answers are compared and thrown away."""
    CANARY = "canary"
    """The candidate answers a share of live requests."""
    HELD = "held"
    """The weight stays where it is until there is data again, or a person or evidence of harm decides."""
    PROBATION = "probation"
    """The candidate answers everything; the old revision stays parked."""
    STABLE = "stable"
    """Done: the candidate has become the stable revision."""
    ROLLED_BACK = "rolled back"
    """Done: the old revision answers everything."""
    SUPERSEDED = "superseded"
    """Done: a later change took this candidate's place before it was decided."""

    @property
    def done(self) -> bool:
        return self in (Phase.STABLE, Phase.ROLLED_BACK, Phase.SUPERSEDED)


class Decision(StrEnum):
    CONTINUE = "continue"
    PROMOTE = "promote"
    """Enough evidence at this step: move to the next weight, after the last step to probation."""
    ROLL_BACK = "roll back"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """What one arm did in one interval.

    ``latency`` holds one count for each bucket of :data:`modelserve.domain.latency.BOUNDS` and one for the
    rest (empty: not measured). Failures are the server's fault; a client's mistake is neither. ``cached``
    requests were answered without a run of the model, and are in none of the others.
    """

    requests: int = 0
    failures: int = 0
    latency: tuple[int, ...] = ()
    cached: int = 0

    @property
    def arrived(self) -> int:
        """All requests that the arm took, whether they say something about it or not."""
        return self.requests + self.cached


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Shadow answers of both arms to the same requests in one interval.

    ``candidate_failures`` are pairs in which stable answered and the candidate failed; they count as
    disagreements too. ``unmatched`` halves waited for their partner until they were dropped.
    """

    pairs: int = 0
    disagreements: int = 0
    candidate_failures: int = 0
    unmatched: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Disagreements by :class:`modelserve.domain.differences.DifferenceKind`; one may be of several kinds."""
    late: int = 0
    """Pairs whose halves came more than a second apart; compared all the same."""
    sampled: int = 0
    """Requests of this interval that stable answered and of which a copy was due to the candidate."""
    repeats: int | None = None
    """Pairs to which stable answered a second time, which measures how often it differs from itself. None:
    it is not asked twice."""
    noise: int = 0
    """Of these, those in which stable's two answers differ."""
    candidate_alone: int = 0
    """Of these, those in which the candidate differs from stable, and stable does not from itself."""
    stable_alone: int = 0
    """Of these, those in which stable differs from itself, and the candidate does not from stable."""


@dataclass(frozen=True, slots=True)
class Trials:
    """What became known of one arm in one interval: ``n`` outcomes, ``bad`` their sum, each in 0..1.

    1 is always the worst an outcome can be, also where the guardrail speaks of what is good (accuracy).
    """

    n: float = 0.0
    bad: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both arms in one guardrail's own terms. None: not seen, which is neither success nor failure."""

    stable: Trials | None = None
    candidate: Trials | None = None


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Shadow pairs by which of the two answers was right, as labels told.

    A loss that is no whole number (a recall of several entities) counts in parts: the four add up to the
    number of pairs.
    """

    both_right: float = 0.0
    stable_right: float = 0.0
    """Stable right and the candidate wrong."""
    candidate_right: float = 0.0
    both_wrong: float = 0.0

    @classmethod
    def of(cls, stable: float, candidate: float) -> LabelledPairs:
        """One pair, by how bad each answer was, in 0..1."""
        low, high = min(stable, candidate), max(stable, candidate)
        return cls(1 - high, candidate - low, stable - low, low)

    @property
    def n(self) -> float:
        return self.alike + self.stable_right + self.candidate_right

    @property
    def alike(self) -> float:
        return self.both_right + self.both_wrong

    def add(self, other: LabelledPairs) -> LabelledPairs:
        return LabelledPairs(
            self.both_right + other.both_right,
            self.stable_right + other.stable_right,
            self.candidate_right + other.candidate_right,
            self.both_wrong + other.both_wrong,
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a rollout in one interval. None means not seen: neither success nor failure."""

    seconds: float
    candidate_weight: float = 0.0
    """Share of live traffic in 0..1 that the proxy was told to give the candidate in this interval."""
    stable: ArmCounts | None = None
    candidate: ArmCounts | None = None
    pairs: PairCounts | None = None
    candidate_ready: bool | None = None
    """Whether the candidate's servers pass their readiness checks."""
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """By ``Guardrail.key``, what labels, segments and custom sources told. Of a guardrail with a segment one
    for each part, by ``"<key>=<part>"`` (``error_rate by tenant=acme``)."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    """By ``Guardrail.key``, the candidate's value of each plain limit; None: no data."""
    labelled: Mapping[str, LabelledPairs] = field(default_factory=dict)
    """By ``Guardrail.key``, what labels told of both answers to the same request."""
    hard_failure: str = ""
    """A reason to roll back outside of the statistics: a crash loop, a package that can't be loaded."""
    notes: tuple[str, ...] = ()
    """What was missed or reset, for people."""


@dataclass(frozen=True, slots=True)
class GuardrailReading:
    """Where one guardrail stands: natural logarithms of e-values beside the bounds that decide."""

    metric: str
    """The guardrail's key; of a segment with its worst part: ``error_rate by tenant=acme``."""
    stable: float | None
    candidate: float | None
    harm: float
    """log e-value against "no worse"; at ``harm_bound`` the rollout rolls back."""
    harm_bound: float
    safety: float
    """log e-value against "worse than the margin"; at ``safety_bound`` this guardrail lets it advance."""
    safety_bound: float
    demanded: bool
    """Whether this step asks for this guardrail's safety."""
    needed: int | None = None
    """Estimate of the candidate requests still needed for ``safety_bound``; None: no estimate."""
    unit: Literal["share", "seconds", "number"] = "share"
    """Of ``stable`` and ``candidate``."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says, why, and on what evidence."""

    decision: Decision
    reasons: tuple[str, ...]
    readings: tuple[GuardrailReading, ...] = ()
    requests: int = 0
    """Candidate requests that the evidence rests on."""
    metric: str = ""
    """The guardrail that decided, if one did."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Everything that a controller must know to go on with a rollout after a restart."""

    id: str
    service: str
    stable: str
    """Name of the revision that answered before."""
    candidate: str
    phase: Phase
    started: float
    """Unix seconds."""
    entered: float
    """When the phase or step was entered; Unix seconds."""
    step: int = -1
    """Index into ``canary.ladder``; -1 before the canary."""
    paused: bool = False
    """Stopped by a person, who alone can resume it."""
    rested: float = 0.0
    """Seconds of earlier pauses."""
    resume_phase: Phase | None = None
    """Where a held rollout goes on when it is resumed."""
    holding_since: float | None = None
    """Since when the judge has said hold without a break; Unix seconds."""
    direct: bool = False
    """Promoted as soon as it is ready: the first revision of a service, or a return to an earlier one."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """The judge's state, JSON-serialisable, of constant size."""
    cursor: Mapping[str, Any] = field(default_factory=dict)
    """Where the observers stopped reading, JSON-serialisable."""
    verdict: Verdict | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    """Sums since the start, for people: stable and candidate requests and failures, pairs, disagreements."""
    reason: str = ""
    looks: int = 0
    """How often the judge has looked; each look is recorded (:mod:`modelserve.rollout.looks`)."""

    @property
    def course(self) -> Phase:
        """The phase that decides on traffic: a held rollout keeps the traffic of the phase it left."""
        return self.resume_phase if self.phase is Phase.HELD and self.resume_phase else self.phase

    def elapsed(self, now: float) -> float:
        """Seconds since it began, without those in which a person had paused it."""
        until = self.entered if self.paused else now
        return until - self.started - self.rested


class Command(StrEnum):
    """What a person may tell a rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a rollout's state, as written before it was acted upon."""

    rollout: str
    at: float
    before: Phase
    after: Phase
    weight: float
    """The candidate's share of live traffic after it, in 0..1."""
    reason: str
    verdict: Verdict | None = None
    look: Mapping[str, Any] = field(default_factory=dict)
    """The look that led to it and the evidence before, as :mod:`modelserve.rollout.looks` writes them; empty
    where a person decided, or readiness."""
