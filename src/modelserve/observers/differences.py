"""The requests on which two versions differ most: in memory only, few, and never logged or stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelserve.domain.differences import Difference

PER_KIND = 20
"""Kept of each kind of difference."""
ROLLOUTS = 8
"""Candidates of which any are kept; the one that was heard of longest ago goes first."""


@dataclass(frozen=True, slots=True)
class Differing:
    """One request that the versions answered differently."""

    id: str
    at: float
    """When stable answered; Unix seconds."""
    difference: Difference
    noisy: bool
    """Whether stable's own second answer differs from its first one, too."""
    input: Mapping[str, Any] | None
    """What is kept of the request; None where nothing may be."""
    stable: Mapping[str, Any]
    candidate: Mapping[str, Any] | None
    status: int
    """Of the candidate's answer."""

    @property
    def rank(self) -> tuple[bool, float, int, float]:
        """The most telling first: what stable itself is unsure of says little."""
        return not self.noisy, self.difference.score, sum(self.difference.kinds.values()), self.at

    @property
    def same(self) -> str:
        """Equal for equal requests, of which one is enough."""
        return json.dumps(self.input, sort_keys=True) if self.input is not None else self.id


Kept = dict[str, dict[str, Differing]]
"""By kind, by what is the same."""


class Differences:
    """The best of each kind, for each candidate."""

    def __init__(self, per_kind: int = PER_KIND, rollouts: int = ROLLOUTS) -> None:
        self._per_kind, self._rollouts = per_kind, rollouts
        self._kept: dict[tuple[str, str], Kept] = {}

    def keep(self, service: str, candidate: str, found: Iterable[Differing]) -> None:
        known = self._kept.pop((service, candidate), {})
        for differing in found:
            for kind in differing.difference.kinds:
                self._add(known.setdefault(str(kind), {}), differing)
        if known:
            self._kept[service, candidate] = known
        while len(self._kept) > self._rollouts:
            del self._kept[next(iter(self._kept))]

    def _add(self, kept: dict[str, Differing], differing: Differing) -> None:
        known = kept.get(differing.same)
        if known is None or known.rank < differing.rank:
            kept[differing.same] = differing
        if len(kept) > self._per_kind:
            del kept[min(kept, key=lambda same: kept[same].rank)]

    def of(self, service: str, candidate: str, limit: int, kind: str | None = None) -> list[Differing]:
        """At most ``limit``, those that differ most first; of one kind, or of all."""
        known = self._kept.get((service, candidate), {})
        chosen = {d.same: d for name, kept in known.items() if kind in (None, name) for d in kept.values()}
        return sorted(chosen.values(), key=lambda d: d.rank, reverse=True)[:limit]

    def forget(self, service: str) -> None:
        """Of a service that is deleted nothing stays."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] != service}
