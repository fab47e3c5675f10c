"""What is recorded of one rollout, and what is found when it is judged again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelserve.domain.rollouts import Rollout, Transition, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.rollout.looks import Look


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that the records hold of one rollout."""

    spec: RolloutSpec
    policy: str
    """Digest of ``spec`` as it was applied (:func:`modelserve.rollout.looks.policy_digest`)."""
    rollout: Rollout
    transitions: tuple[Transition, ...]
    lines: Mapping[int, str]
    """Of its looks, by number; those that are no longer kept are missing."""
    judge: Mapping[str, str] = field(default_factory=dict)
    """The judge that judges again, in the terms in which a look tells its own."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was recorded."""

    look: int
    what: str
    """``verdict``, ``words``, ``evidence``, ``look``, ``rules`` or ``missing``."""
    words: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True)
class Step:
    """One look, judged again."""

    number: int
    look: Look
    verdict: Verdict | None
    """As given now; None where what came before it is not known, or it can't be judged."""
    transition: Transition | None = None
    """What it led to."""
    differences: tuple[Difference, ...] = ()
