"""Observer: the front door's counters of attempts (see ``routing.envoy.accounts``).

The evidence about an arm is the first attempt at each request: one trial for every request, on one arm alone.
An attempt that failed counts against the arm that failed it, also where a retry on another arm saved the
client. Second attempts are left out, for they are no fair sample; so are requests of the candidate's share
that went straight to the fallback because no candidate server was healthy, and those of clients that went
away. An answer of 4xx is the client's fault: neither request nor failure. One from the cache is counted
apart: no model ran, so it says nothing about the revision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelserve._kit.unix_http import UnixHttp
from modelserve.domain.rollouts import ArmCounts
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.observers.counters import rise

_ATTEMPT = re.compile(
    r"attempts\.count\.arm\.(?P<arm>[a-z]+)\.try\.1\.cluster\.(?P<cluster>.+?)\.code\.(?P<code>\d+)"
    r"\.flags\.(?P<flags>[^.]+)(\.grpc\.(?P<grpc>[^.]*))?(\.cache\.(?P<cache>.*))?"
)
_TIMEOUT = re.compile(r"timeouts\.count\.arm\.(?P<arm>[a-z]+)\.try\.1\.cluster\.(?P<cluster>.+)")
_FAULTS = frozenset({"UF", "UC", "UR", "UT", "UPE"})
"""Response flags that mean: the server could not be reached, broke off, was late or spoke nonsense."""
_GRPC_FAULTS = frozenset({"2", "4", "8", "13", "14", "15"})
"""gRPC's numbers for what REST says with 500 and above: unknown, late, full, failed, not there, lost."""


@dataclass
class _Tally:
    requests: int = 0
    failures: int = 0
    cached: int = 0

    def add(self, count: int, *, failed: bool, cached: bool = False) -> None:
        if cached and not failed:
            self.cached += count
            return
        self.requests += count
        self.failures += count if failed else 0

    @property
    def position(self) -> list[int]:
        return [self.requests, self.failures, self.cached]


class EnvoyObserver:
    """Reads ``/stats`` of the administration interface."""

    name = "envoy"

    def __init__(self, admin: UnixHttp) -> None:
        self._admin = admin

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        process = self._admin.generation
        try:
            lines = (await self._admin.get(_target(subject))).splitlines()
        except ConnectionError as error:
            return Sighting(notes=(f"the front door gave no counters: {error}",)), cursor
        if process != self._admin.generation:
            return Sighting(notes=("the front door was restarted during the look",)), cursor
        stats = _parse(lines)
        positions = _positions(subject, stats)
        ready = _ready(subject, stats)
        following = {"process": process, "positions": positions}
        if cursor and cursor.get("process") != process:
            note = "the front door was restarted: what it counted since the last look is not known"
            return Sighting(candidate_ready=ready, notes=(note,)), following
        return _compare(subject, cursor.get("positions", {}), positions, ready), following


def _target(subject: Subject) -> str:
    stable, candidate = re.escape(subject.stable), re.escape(subject.candidate)
    clusters = rf"({stable}\.live|{candidate}\.(live|shadow(-grpc)?))"
    own = "membership_(healthy|total)|upstream_rq_timeout"
    pattern = rf"^(attempts|timeouts)\.count\..*\.cluster\.{clusters}(\.|$)|^cluster\.{clusters}\.({own})$"
    return f"/stats?usedonly&filter={pattern}"


def _parse(lines: Iterable[str]) -> dict[str, int]:
    pairs = (line.rpartition(": ") for line in lines)
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def _positions(subject: Subject, stats: dict[str, int]) -> dict[str, list[int]]:
    """Requests, failures and answers from the cache so far, by cluster."""
    shadow = f"{subject.candidate}.shadow"
    tallies = {
        cluster: _Tally() for cluster in (f"{subject.stable}.live", f"{subject.candidate}.live", shadow)
    }
    for name, count in stats.items():
        if found := _TIMEOUT.fullmatch(name):
            outcome: bool | None = True
            cached = False
        elif found := _ATTEMPT.fullmatch(name):
            outcome = _failed(int(found["code"]), found["flags"], found["grpc"])
            cached = found["cache"] == "hit"
        else:
            continue
        if outcome is not None and _is_own(subject, found["cluster"], found["arm"]):
            tallies[found["cluster"]].add(count, failed=outcome, cached=cached)
    # A copy has no access log of its own; behind no aggregate, the cluster's counter says the same.
    for cluster in (shadow, f"{shadow}-grpc"):
        tallies[shadow].add(stats.get(f"cluster.{cluster}.upstream_rq_timeout", 0), failed=True)
    return {cluster: tally.position for cluster, tally in tallies.items()}


def _is_own(subject: Subject, cluster: str, arm: str) -> bool:
    """What stable answers in the candidate's place is no evidence about stable."""
    return cluster != f"{subject.stable}.live" or arm == "stable"


def _failed(code: int, flags: str, grpc: str | None) -> bool | None:
    """Whether an attempt is a failure of the server; None if it says nothing about it."""
    if code >= 500 or _FAULTS & set(flags.split(",")):
        return True
    if code == 200 and grpc not in (None, "", "-", "0"):
        return True if grpc in _GRPC_FAULTS else None
    return False if 200 <= code < 400 else None


def _ready(subject: Subject, stats: dict[str, int]) -> bool | None:
    """Whether all servers of the candidate pass their checks; None if the front door does not know them."""
    cluster = f"cluster.{subject.candidate}.live"
    healthy, total = stats.get(f"{cluster}.membership_healthy"), stats.get(f"{cluster}.membership_total")
    return None if total is None else healthy == total > 0


def _compare(
    subject: Subject, before: dict[str, Any], now: dict[str, list[int]], ready: bool | None
) -> Sighting:
    clusters = (f"{subject.stable}.live", f"{subject.candidate}.{'shadow' if subject.shadowing else 'live'}")
    added = {name: rise(before[name], now[name]) if name in before else None for name in clusters}
    fallen = [name for name in clusters if name in before and added[name] is None]
    stable, candidate = (
        ArmCounts(counts[0], counts[1], cached=counts[2]) if (counts := added[name]) else None
        for name in clusters
    )
    notes = tuple(f"the front door's counters of {name} began anew" for name in fallen)
    return Sighting(stable, candidate, candidate_ready=ready, notes=notes)
