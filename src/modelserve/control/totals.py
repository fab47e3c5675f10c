"""Sums over a whole rollout, for the people who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelserve.domain.rollouts import ArmCounts, Observation, PairCounts, Phase, Rollout

_TOLD = ("candidate_failures", "unmatched", "late", "sampled", "noise")


def add_up(rollout: Rollout, seen: Observation) -> Rollout:
    """Add one observation; copies that a shadow answered are kept apart from live requests."""
    arm = "shadow" if rollout.course is Phase.SHADOW else "candidate"
    added = {
        **_of("stable", seen.stable),
        **_of(arm, seen.candidate),
        **(_of_pairs(seen.pairs) if seen.pairs else {}),
    }
    return replace(rollout, totals=_sum(rollout.totals, added))


def _of(arm: str, counts: ArmCounts | None) -> dict[str, int]:
    return {
        f"{arm}_requests": counts.requests if counts else 0,
        f"{arm}_failures": counts.failures if counts else 0,
    }


def _of_pairs(pairs: PairCounts) -> dict[str, int]:
    """``kind_boundary`` and the like are disagreements by kind."""
    counts = {name: getattr(pairs, name) for name in ("pairs", "disagreements", *_TOLD)}
    counts["repeats"] = pairs.repeats or 0
    return counts | {f"kind_{kind}": number for kind, number in pairs.kinds.items()}


def _sum(before: Mapping[str, int], added: Mapping[str, int]) -> dict[str, int]:
    return {key: before.get(key, 0) + added.get(key, 0) for key in {**before, **added}}
