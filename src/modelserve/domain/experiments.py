"""Experiments: which arms there are, who meets which, and what is measured of them.

An experiment compares revisions of one service by what people do with their answers. A rollout asks whether a
revision is harmful and ends by itself; an experiment asks which one is better, and people end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from modelserve.domain.quantities import Duration, Percent
from modelserve.domain.sections import Section
from modelserve.domain.services import API_VERSION, Metadata, ModelRef, Name

MAX_ARMS = 8
STABLE = "stable"
"""In ``arms[].revision``: the revision that answers when the experiment begins."""
_TOLERANCE = 1e-9

ArmName = Annotated[
    str,
    Field(
        pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$",
        description="Lower-case letters, digits and dashes; starts with a letter; at most 32.",
    ),
]
MetricName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,47}$",
        description="Lower-case letters, digits and underscores; starts with a letter; at most 48.",
    ),
]


class Key(Section):
    """What tells one participant from another; exactly one of the two."""

    header: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] | None = None
    """A request header in lower case (in gRPC: metadata), such as ``x-user-id``. Behind a proxy that checks
    tokens, the header in which it passes the subject on."""
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """A cookie by its name."""

    @model_validator(mode="after")
    def _one(self) -> Key:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("name exactly one of header and cookie")
        if self.header == "cookie" or (self.header or "").startswith(("x-modelserve-", "x-envoy-")):
            raise ValueError(f"header {self.header!r} can't be a key: choose one of your own")
        return self


class Arm(Section):
    """One of the revisions that are compared."""

    name: ArmName
    weight: Annotated[Percent, Field(ge=0, le=1)]
    """Share of the participants; the shares of all arms sum to 100%. What can be told apart is 0.01%."""
    model: ModelRef | None = None
    """A model of its own, run with the service's other settings."""
    revision: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A revision that the service has, or ``stable``; in place of ``model``."""

    @model_validator(mode="after")
    def _one(self) -> Arm:
        if (self.model is None) == (self.revision is None):
            raise ValueError("name exactly one of model and revision")
        return self


class MetricKind(StrEnum):
    """What one outcome is: yes or no, or a number within bounds."""

    RATE = "rate"
    MEAN = "mean"


class Direction(StrEnum):
    """Which way is better."""

    UP = "up"
    DOWN = "down"


class OutcomeMetric(Section):
    """What is measured of each participant, once."""

    name: MetricName
    kind: MetricKind = MetricKind.RATE
    """``rate``: outcomes are 0 or 1. ``mean``: they are numbers within ``bounds``."""
    direction: Direction = Direction.UP
    """Which way is better."""
    bounds: tuple[FiniteFloat, FiniteFloat] | None = None
    """Least and largest value of a mean; an outcome outside of them is refused."""
    margin: Annotated[Percent, Field(gt=0, lt=1)] = 0.01
    """A difference that doesn't matter, as a share of the metric's range (1 for a rate): 1% of a rate is one
    percentage point."""
    window: Annotated[Duration, Field(gt=0)] | None = None
    """Only for a rate: a participant without an outcome this long after its first exposure counts as 0, and
    nobody counts earlier. null: only outcomes that are told count, so tell zeros too."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> OutcomeMetric:
        if (self.kind is MetricKind.MEAN) != (self.bounds is not None):
            raise ValueError("bounds: a mean needs them, a rate has none")
        if self.bounds is not None and not 0 < self.bounds[1] - self.bounds[0] < inf:
            raise ValueError("bounds must be [least, largest], such as [0, 5]")
        if self.window is not None and self.kind is not MetricKind.RATE:
            raise ValueError("window: only a rate has one")
        return self

    @property
    def limits(self) -> tuple[float, float]:
        """(least, largest) value of an outcome."""
        return self.bounds or (0.0, 1.0)

    @property
    def tolerance(self) -> float:
        """The margin in the metric's own unit."""
        low, high = self.limits
        return self.margin * (high - low)


class Bandit(Section):
    """Weights that follow the outcomes: more participants meet what seems better."""

    kind: Literal["thompson"] = "thompson"
    """Each arm's weight is the chance that it is the best, by the outcomes so far."""
    every: Annotated[Duration, Field(ge=60)] = 3600.0
    """Time between two changes of the weights."""
    min_share: Annotated[Percent, Field(gt=0, le=0.5)] = 0.05
    """Least share of every arm, so that a bad beginning can be made good."""


class ExperimentSpec(Section):
    """Everything about the experiment but its name."""

    service: Name
    """The service whose traffic takes part; it has no rollout meanwhile."""
    key: Key
    """What keeps a participant with its arm. Requests without it get the first arm and don't count."""
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=MAX_ARMS)]
    """What is compared; the first is the control."""
    metrics: Annotated[tuple[OutcomeMetric, ...], Field(min_length=1, max_length=10)]
    """What is measured; the first decides."""
    confidence: Annotated[Percent, Field(ge=0.5, lt=1)] = 0.95
    """How sure the readout is: of one metric, all differences at all times hold together this often."""
    max_duration: Annotated[Duration, Field(gt=0, le=31_536_000)] = 1_209_600.0
    """After this long the experiment ends, whatever it has found."""
    bandit: Bandit | None = None
    """null: the weights stay as they are written here."""

    @model_validator(mode="after")
    def _hangs_together(self) -> ExperimentSpec:
        for what, names in (("arm", self.arms), ("metric", self.metrics)):
            if len({one.name for one in names}) != len(names):
                raise ValueError(f"each {what} needs a name of its own")
        total = sum(arm.weight for arm in self.arms)
        if abs(total - 1) > _TOLERANCE:
            raise ValueError(f"the weights must sum to 100%, not {total * 100:g}%")
        if self.bandit and self.bandit.min_share * len(self.arms) > 1:
            raise ValueError("bandit.minShare: the least shares of all arms exceed 100%")
        if self.bandit and self.metrics[0].kind is not MetricKind.RATE:
            raise ValueError("bandit: needs a rate as its first metric")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """Shares in 0..1 by arm, as written."""
        return {arm.name: arm.weight for arm in self.arms}


class Experiment(Section):
    """One spec file of kind Experiment, whole."""

    api_version: Literal["modelserve.ai/v1alpha1"] = API_VERSION
    """The version of this file's format."""
    kind: Literal["Experiment"] = "Experiment"
    """What the file describes."""
    metadata: Metadata
    """What the experiment is called. The name also salts the assignment: another name, another draw."""
    spec: ExperimentSpec
    """What the experiment is."""

    @property
    def name(self) -> str:
        return self.metadata.name


class ExperimentPhase(StrEnum):
    """Each value completes the sentence: the experiment is ..."""

    STARTING = "starting"
    """The servers of its arms start; everybody is answered by the stable revision."""
    RUNNING = "running"
    """Participants meet their arms."""
    OVER = "over"
    """The stable revision answers everybody again; outcomes are still taken."""


Layout = tuple[tuple[str, int], ...]
"""Runs of neighbouring slots, (arm, number of slots); all numbers sum to the whole."""


@dataclass(frozen=True, slots=True)
class ExperimentState:
    """Everything that a controller must know to go on with an experiment after a restart."""

    name: str
    service: str
    document: Mapping[str, Any]
    """The whole Experiment, as its file would say it."""
    revisions: Mapping[str, str]
    """The revision of each arm."""
    phase: ExperimentPhase
    applied: float
    """Unix seconds."""
    layout: Layout
    """Which slots belong to which arm; see ``experiments.assignment``."""
    began_with: Mapping[str, float] = field(default_factory=dict)
    """The weights at the beginning, in 0..1 by arm."""
    started: float | None = None
    """When the first participant could meet an arm; Unix seconds."""
    ended: float | None = None
    weighed: float | None = None
    """When a bandit changed the weights last; Unix seconds."""
    reason: str = ""

    @property
    def is_active(self) -> bool:
        return self.phase is not ExperimentPhase.OVER

    @property
    def control(self) -> str:
        """The revision of the first arm."""
        return self.revisions[self.spec.arms[0].name]

    @property
    def spec(self) -> ExperimentSpec:
        return Experiment.model_validate(self.document).spec
