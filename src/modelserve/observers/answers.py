"""Observer: shadow pairs, joined from both arms' logs of sampled answers on the request id.

The proxy throws a mirrored reply away, so each server keeps its sampled answers and this observer puts them
together. What the candidate has answered since the last reading leads: stable is asked for its answers to
the same requests, however long ago they were. Only a candidate's answer that still lacks its partner is
carried in the cursor, for a while, and then counted as unmatched. Requests themselves are in no cursor and no
record: those on which the versions differ most are kept in memory (``observers.differences``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from modelserve.domain.workloads import Replica
from modelserve.errors import Unavailable
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.observers.comparing import Comparing
from modelserve.observers.differences import Differences
from modelserve.observers.joining import Logged, join
from modelserve.observers.tallying import tally

PAGE = 1000
"""Answers that a server hands over at once; a longer log is read page by page."""


class AnswersObserver:
    """Reads ``/internal/answers``; sees nothing outside of the shadow stage."""

    name = "answers"

    def __init__(
        self,
        client: httpx.AsyncClient,
        differences: Differences | None = None,
        comparing: Comparing | None = None,
    ) -> None:
        self._client = client
        self._differences = differences or Differences()
        self._comparing = comparing or Comparing()

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        if not subject.shadowing:
            return Sighting(), {}
        fresh, logs, silent = await self._fresh(subject, cursor.get("logs", {}))
        waiting = [*cursor.get("pending", []), *({"age": 0, "answer": answer} for answer in fresh)]
        found, originals, mute = await self._partners(subject, {entry["answer"]["id"] for entry in waiting})
        joined, pending, unmatched = join(found, waiting, subject.repeats)
        following = {"logs": logs, "originals": originals, "pending": pending}
        notes = tuple(f"{key} gave no answers" for key in (*silent, *mute))
        try:
            counts, differing = await tally(joined, subject, self._comparing)
        except Unavailable as error:
            return Sighting(notes=(*notes, error.message)), following
        self._differences.keep(subject.service, subject.candidate, differing)
        sampled = _rise(cursor.get("originals", {}), originals)
        return Sighting(pairs=replace(counts, unmatched=unmatched, sampled=sampled), notes=notes), following

    async def _fresh(
        self, subject: Subject, logs: Mapping[str, Any]
    ) -> tuple[list[Logged], dict[str, Any], list[str]]:
        """What the candidate has answered since the last reading, where it ended, and who gave nothing."""
        replicas = [r for r in subject.replicas if r.workload == subject.candidate]
        reads = await asyncio.gather(*(self._read_on(r, logs.get(_key(r))) for r in replicas))
        told = dict(zip(map(_key, replicas), reads, strict=True))
        answers = [answer for read in reads if read for answer in read[0]]
        positions = {key: read[1] if read else logs.get(key) for key, read in told.items()}
        silent = [key for key, read in told.items() if read is None]
        return answers, {key: position for key, position in positions.items() if position}, silent

    async def _read_on(
        self, replica: Replica, log: Mapping[str, Any] | None
    ) -> tuple[list[Logged], Mapping[str, Any]] | None:
        """The first look only says where to start; None if the log can't be read."""
        try:
            epoch, answers, end = await self._pages(replica, 0 if log is None else log["next"])
            if log is not None and epoch != log["epoch"]:
                epoch, answers, end = await self._pages(replica, 0)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None
        return ([] if log is None else answers), {"epoch": epoch, "next": end}

    async def _pages(self, replica: Replica, after: int) -> tuple[str, list[Logged], int]:
        """Epoch, answers and the last number of a log from ``after`` to its end."""
        url = f"http://{replica.address}/internal/answers"
        answers: list[Logged] = []
        while True:
            reply = await self._client.get(url, params={"after": after, "limit": PAGE})
            page = reply.raise_for_status().json()
            answers += page["answers"]
            if len(page["answers"]) < PAGE:
                return page["epoch"], answers, page["next"]
            after = page["next"]

    async def _partners(
        self, subject: Subject, ids: set[str]
    ) -> tuple[list[Logged], dict[str, Any], list[str]]:
        """Stable's answers to these requests, how many it sampled so far, and who gave nothing."""
        replicas = [r for r in subject.replicas if r.workload == subject.stable]
        finds = await asyncio.gather(*(self._find(replica, sorted(ids)) for replica in replicas))
        told = dict(zip(map(_key, replicas), finds, strict=True))
        answers = [answer for find in finds if find for answer in find[0]]
        originals = {key: find[1] for key, find in told.items() if find}
        return answers, originals, [key for key, find in told.items() if find is None]

    async def _find(self, replica: Replica, ids: Sequence[str]) -> tuple[list[Logged], list[Any]] | None:
        url = f"http://{replica.address}/internal/answers/find"
        answers: list[Logged] = []
        try:
            for start in range(0, max(len(ids), 1), PAGE):
                reply = await self._client.post(url, json={"ids": ids[start : start + PAGE]})
                told = reply.raise_for_status().json()
                answers += told["answers"]
            return answers, [told["epoch"], told["originals"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None


def _rise(before: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    """Originals that stable sampled between two readings of the same processes."""
    known = {key: before[key] for key in now if key in before and before[key][0] == now[key][0]}
    return sum(now[key][1] - earlier[1] for key, earlier in known.items())


def _key(replica: Replica) -> str:
    return f"{replica.workload}/{replica.index}"
