"""Observer: the model servers' own figures, read from every replica of both arms.

What counts is the difference between two readings of the same process. A replica that restarted, was
never read before, or does not answer, adds nothing to this interval; one that merely missed a reading
makes up for it at the next.

Where the rollout guards parts of segments, every server is told to count by them as soon as it is seen not
to: also those that were started before anybody thought of segments, and without a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from modelserve.domain.guardrails import Segment
from modelserve.domain.rollouts import ArmCounts
from modelserve.domain.workloads import Replica
from modelserve.observers import segments
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.observers.counters import add, rise

Figures = Mapping[str, Any]


class ServersObserver:
    """Reads ``GET /internal/figures``; asks with ``PUT /internal/segments``."""

    name = "servers"

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        replicas = [r for r in subject.replicas if r.workload in (subject.stable, subject.candidate)]
        asked = segments.asked(subject)
        figures = await asyncio.gather(*(self._figures(replica, asked) for replica in replicas))
        following: dict[str, Any] = {}
        arms: dict[str, _Arm] = {}
        notes: list[str] = []
        for replica, figure in zip(replicas, figures, strict=True):
            key = f"{replica.workload}/{replica.index}"
            before = cursor.get(key)
            if figure is None:
                notes.append(f"{key} gave no figures")
                if before is not None:
                    following[key] = before
                continue
            now = following[key] = _position(figure, _role(subject, replica), asked)
            if before is not None and (counts := _since(before, now)) is not None:
                parts = segments.rise(before.get("segments", {}), now["segments"])
                arms.setdefault(replica.workload, _Arm()).add(counts, parts)
        return _sighting(subject, arms, notes), following

    async def _figures(self, replica: Replica, asked: Sequence[Segment]) -> Figures | None:
        try:
            answer = await self._client.get(f"http://{replica.address}/internal/figures")
            figures: Figures = answer.raise_for_status().json()
            # Another server may have got the port of one that is gone.
            if figures["revision"] != replica.workload:
                return None
            if segments.counts_by(figures) != segments.told(asked):
                await self._ask(replica, asked)
            return figures
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    async def _ask(self, replica: Replica, asked: Sequence[Segment]) -> None:
        """Have a server count by these segments; if it can't be told, the next look tries again."""
        with contextlib.suppress(httpx.HTTPError):
            wanted = {"segments": segments.told(asked)}
            await self._client.put(f"http://{replica.address}/internal/segments", json=wanted)


@dataclass(slots=True)
class _Arm:
    """What all servers of one revision added."""

    counts: ArmCounts = field(default_factory=ArmCounts)
    parts: segments.Parts = field(default_factory=dict)

    def add(self, counts: ArmCounts, parts: segments.Parts) -> None:
        self.counts, self.parts = add(self.counts, counts), segments.add(self.parts, parts)


def _sighting(subject: Subject, arms: Mapping[str, _Arm], notes: Sequence[str]) -> Sighting:
    stable, candidate = arms.get(subject.stable), arms.get(subject.candidate)
    return Sighting(
        None if stable is None else stable.counts,
        None if candidate is None else candidate.counts,
        outcomes=segments.outcomes(
            subject,
            None if stable is None else stable.parts,
            None if candidate is None else candidate.parts,
        ),
        notes=tuple(notes),
    )


def _role(subject: Subject, replica: Replica) -> str:
    if replica.workload == subject.stable:
        return "stable"
    return "shadow" if subject.shadowing else "candidate"


def _position(figure: Figures, arm: str, asked: Sequence[Segment]) -> dict[str, Any]:
    counts = figure["arms"].get(arm, {"requests": 0, "failures": 0, "latency": []})
    return {
        "epoch": figure["epoch"],
        "arm": arm,
        "counts": [counts["requests"], counts["failures"], *counts["latency"]],
        "segments": segments.position(figure, arm, asked),
    }


def _since(before: Mapping[str, Any], now: Mapping[str, Any]) -> ArmCounts | None:
    """What one process added between two readings, or None if they can't be compared."""
    if (before["epoch"], before["arm"]) != (now["epoch"], now["arm"]):
        return None
    # An arm's histogram appears with its first request: until then the position is shorter.
    start = before["counts"] + [0] * (len(now["counts"]) - len(before["counts"]))
    added = rise(start, now["counts"])
    return None if added is None else ArmCounts(added[0], added[1], added[2:])
