"""The policies that the simulations are run under."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelserve.domain.services import MEASURED_STEPS, RolloutSpec
from modelserve.rollout.weights import is_enough

LADDER = ("1%", "5%", "10%", "25%", "50%", "100%")
ERRORS = [{"metric": "error_rate", "maxIncrease": "0.2%"}]
ALL = [
    *ERRORS,
    {"metric": "latency_p50", "maxIncrease": "15%"},
    {"metric": "latency_p99", "maxIncrease": "25%"},
]


def policy(
    steps: Sequence[str], min_step: str, guardrails: Sequence[dict[str, str]], **judge: Any
) -> RolloutSpec:
    return RolloutSpec.model_validate(
        {
            "shadow": None,
            "canary": {"steps": list(steps), "minStep": min_step},
            "judge": {"guardrails": list(guardrails), **judge},
        }
    )


LADDERED = policy(LADDER, "30s", ERRORS)
LADDERED_ALL = policy(LADDER, "30s", ALL)
SLOWLY = policy(LADDER, "80s", ERRORS)
"""Long enough at each step that a fault after 300 s still meets a comparison."""
SHORT = policy(["10%", "50%", "100%"], "4s", ALL)


def from_traffic(rate: float) -> RolloutSpec:
    """What a rollout without ``steps`` does at ``rate`` requests/s, but for its bake: it begins with the
    first weight that gives the candidate enough to be judged by."""
    first = next(i for i, weight in enumerate(MEASURED_STEPS) if is_enough(weight, rate))
    return policy([f"{weight:.0%}" for weight in MEASURED_STEPS[first:]], "30s", ERRORS)
