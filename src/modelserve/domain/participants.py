"""Who took part in an experiment, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exposure:
    """A participant met an arm for the first time."""

    key: str
    """Hash of the participant's key; the key itself is kept nowhere."""
    arm: str
    at: float
    """Unix seconds."""
    request: str
    """Id of the first request."""
    weights: str = ""
    """The slots of each arm that were in force, by name: ``b=5000,control=5000``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became known of one participant."""

    key: str
    """As in :class:`Exposure`."""
    metric: str
    value: float
    at: float
    """When it was told; Unix seconds."""


@dataclass(frozen=True, slots=True)
class Census:
    """How many participants an experiment has."""

    counts: tuple[tuple[str, str, int], ...] = ()
    """(weights as in :class:`Exposure`, arm, participants that met it first), the earliest weights first."""
    crossed: int = 0
    """Participants that later met another arm too, because the weights changed."""
