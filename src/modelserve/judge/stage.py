"""Where a rollout stands when the judge is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StageKind = Literal["shadow", "canary", "probation"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Weights are shares in 0..1, times are seconds."""

    kind: StageKind
    weight: float = 0.0
    """The candidate's share of live traffic now."""
    next_weight: float = 1.0
    """Its share after a promotion from here."""
    elapsed_in_stage: float = 0.0
    """Since this stage or this weight was entered."""
    elapsed: float = 0.0
    """Since the rollout began, without pauses."""

    @property
    def final(self) -> bool:
        """Whether the next weight is everything: the last comparison with live stable traffic."""
        return self.next_weight >= 1.0

    @property
    def name(self) -> str:
        """Tells one stage or step from another within a rollout."""
        return f"{self.kind}>{self.next_weight:.6g}" if self.kind == "canary" else self.kind
