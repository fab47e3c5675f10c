"""Port: the records store, which holds the truth about services, revisions and rollouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from modelserve.domain.experiments import ExperimentState
from modelserve.domain.labels import (
    Cell,
    CellCount,
    Label,
    LabelAnswer,
    LabelSums,
    Prediction,
    ShadowPrediction,
)
from modelserve.domain.participants import Census, Exposure, Outcome
from modelserve.domain.registry import ModelVersion, RegisteredModel
from modelserve.domain.rollouts import LabelledPairs, Revision, Rollout, Transition


@dataclass(frozen=True, slots=True)
class Retention:
    """How many looks are kept, so that verdicts can be explained."""

    rollouts: int = 10
    """Of each service, the latest."""
    looks: int = 20_000
    """Of each rollout, the latest; 0: none are written."""


class Records(Protocol):
    """All methods raise Unavailable when the store can't be read or written; nothing is half-written then.

    Revisions and rollouts belong to a service: writing one of an unknown service raises NotFound. A service
    that was deleted meanwhile is therefore not brought back by a late write.
    """

    def put_service(self, name: str, spec: Mapping[str, Any], stable: str | None) -> None:
        """Insert, or replace spec and stable; ``stable`` names the revision that answers (None: none yet)."""

    def service(self, name: str) -> tuple[Mapping[str, Any], str | None] | None:
        """(spec, stable) or None."""

    def services(self) -> dict[str, tuple[Mapping[str, Any], str | None]]: ...

    def delete_service(self, name: str) -> None:
        """Forget the service with its revisions and rollouts; unknown names are ignored."""

    def add_revision(self, revision: Revision) -> None:
        """Raises Conflict if the number is taken."""

    def revisions(self, service: str) -> tuple[Revision, ...]:
        """By number, ascending."""

    def revision(self, name: str) -> Revision | None: ...

    def save_rollout(
        self,
        rollout: Rollout,
        transition: Transition | None = None,
        stable: str | None = None,
        look: str = "",
    ) -> None:
        """Write the state, the transition that led to it and the service's new stable revision, in one
        transaction. Repeating an identical transition (same rollout, before, after, at) adds nothing.

        ``look`` is the line of the look that ``rollout.looks`` counts last; old ones go, as
        :class:`Retention` says.
        """

    def looks(self, rollout: str) -> dict[int, str]:
        """Lines of the looks that are kept, by number, ascending; an empty one is damaged."""

    def rollout(self, id: str) -> Rollout | None: ...

    def rollouts(self, service: str) -> tuple[Rollout, ...]:
        """By start, ascending."""

    def transitions(self, rollout: str) -> tuple[Transition, ...]:
        """By time, ascending."""

    def register(self, version: ModelVersion, aliases: Iterable[str] = ()) -> ModelVersion:
        """Add a version to a registered model, made where it lacks, and point ``aliases`` to it.

        Returns it with its number, one above the highest that the model has ever had.
        """

    def registered(self, model: str | None = None) -> tuple[RegisteredModel, ...]:
        """Every model that has a version, by name; or the one that is asked for, if it has one."""

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias to a version, in one step. Raises NotFound if there is no such version."""

    def remove_alias(self, model: str, alias: str) -> None:
        """Raises NotFound."""

    def delete_version(self, model: str, number: int) -> None:
        """Raises NotFound, or Conflict while an alias points to it."""

    def delete_model(self, model: str) -> None:
        """Its versions and aliases; their numbers are not given again. Raises NotFound."""

    def save_experiment(self, experiment: ExperimentState) -> None:
        """Insert or replace. Raises NotFound for an unknown service."""

    def experiments(self) -> tuple[ExperimentState, ...]:
        """By name."""

    def delete_experiment(self, name: str) -> None:
        """Forget the experiment with its exposures and outcomes; unknown names are ignored."""

    def add_exposures(self, experiment: str, exposures: Sequence[Exposure]) -> None:
        """Keep the first of each key; that it met another arm later is noted. Repeating adds nothing.

        Raises NotFound for an unknown experiment: one that was deleted meanwhile."""

    def exposures(
        self, experiment: str, *, keys: Iterable[str] = (), requests: Iterable[str] = ()
    ) -> tuple[Exposure, ...]:
        """Those of these keys, and those that began with these requests."""

    def census(self, experiment: str) -> Census: ...

    def add_outcomes(self, experiment: str, outcomes: Sequence[Outcome]) -> tuple[float | None, ...]:
        """Keep the first value of each key and metric; for each outcome None if it was kept, else the value
        that was there before. Raises NotFound for an unknown experiment."""

    def outcomes(
        self, experiment: str, metric: str, after: int, limit: int
    ) -> tuple[tuple[int, str, float], ...]:
        """(number, first arm, value) in the order in which they were told, from beyond ``after``."""

    def matured(
        self, experiment: str, metric: str, after: tuple[float, str], until: float, limit: int
    ) -> tuple[tuple[tuple[float, str], str, float | None], ...]:
        """((time, key), first arm, value if one was told) in the order of first exposures, from beyond
        ``after`` up to the time ``until``."""

    def add_predictions(self, service: str, made: Sequence[Prediction], now: float) -> None:
        """Remember predictions, and count the labels that waited for them. One that is here already is left
        alone; another one with the same id makes both ambiguous. Raises NotFound for an unknown service."""

    def add_labels(self, service: str, told: Sequence[Label], now: float, room: int) -> list[LabelAnswer]:
        """Join labels with their predictions and count them; one answer for each, in their order. At most
        ``room`` of those without a prediction are kept. Raises NotFound for an unknown service."""

    def next_cell(self, service: str, after: Cell, before: int) -> tuple[Cell, tuple[CellCount, ...]] | None:
        """The counts of the first cell after ``after`` whose window is earlier than ``before``."""

    def add_shadow_predictions(self, service: str, made: Sequence[ShadowPrediction], now: float) -> None:
        """Remember what the candidate answered to copies, and count the pairs whose label is here. One that
        is here already is left alone. Raises NotFound for an unknown service."""

    def next_labelled_pairs(
        self, service: str, revision: str, after: int, before: int
    ) -> tuple[int, Mapping[str, LabelledPairs]] | None:
        """The first window of time after ``after`` and before ``before`` in which pairs of stable and of
        ``revision`` were completed, and what they say by metric."""

    def waiting_labels(self) -> int:
        """Labels that wait for their prediction, of all services."""

    def label_sums(self, service: str) -> LabelSums: ...

    def prune_labels(self, before: float, waiting_before: float, keep: int, window: int) -> int:
        """Forget what was made or came before a Unix time, labels that waited since before another, all
        predictions but the ``keep`` newest with the labels that came before those, cells of windows before
        one, and what belongs to no service.
        Deletes a part only; returns the rows that went, so that 0 says that nothing is left to do."""

    def forget_labels(self, service: str) -> int:
        """Forget a part of the predictions and labels of a service that is gone; returns the rows that went.
        One that is there, or is there again, keeps them."""

    def close(self) -> None: ...
