"""Port: observers, one adapter per source of evidence.

An observer keeps no state: what it must remember between two readings (the last counters of every replica,
say) is the cursor, which is stored with the rollout. So a controller that was killed, or a store that could
not be written, loses no evidence and counts none twice: the next reading covers the gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelserve.domain.guardrails import Guardrail, Segment
from modelserve.domain.rollouts import ArmCounts, LabelledPairs, Outcome, PairCounts
from modelserve.domain.services import Shadow
from modelserve.domain.workloads import Replica

Cursor = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """What to look at."""

    service: str
    stable: str
    candidate: str
    replicas: tuple[Replica, ...]
    """Of both revisions."""
    shadowing: bool = False
    """Whether the candidate gets copies instead of live traffic."""
    guardrails: tuple[Guardrail, ...] = ()
    """Of the rollout's own rules: those under which it began."""
    segments: tuple[Segment, ...] = ()
    """What the guardrails may divide requests by."""
    shadow: Shadow = field(default_factory=Shadow)
    """The rules of the shadow stage."""
    repeats: bool = False
    """Whether stable answers each copy too."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one observer saw since its cursor; None stands for 'not seen', never for zero."""

    stable: ArmCounts | None = None
    candidate: ArmCounts | None = None
    pairs: PairCounts | None = None
    candidate_ready: bool | None = None
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """By ``Guardrail.key``; of a guardrail with a segment by ``"<key>=<part>"``."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    """By ``Guardrail.key``, the candidate's value of each plain limit."""
    labelled: Mapping[str, LabelledPairs] = field(default_factory=dict)
    """By ``Guardrail.key``."""
    notes: tuple[str, ...] = ()


class Observer(Protocol):
    name: str

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        """Look once. Never raises for a source that is down: that is a Sighting of nothing, with a note."""
