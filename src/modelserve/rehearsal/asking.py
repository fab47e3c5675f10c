"""Ask two model servers the same recorded requests, one after the other, and keep what each of them did.

Who is asked first takes turns, so that neither finds the machine's caches warmer. A server's own log tells
its answer in the form in which answers are compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from modelserve.rehearsal.recordings import Request
from modelserve.rehearsal.servers import Server

TIMEOUT = 60.0
"""Seconds after which a request has failed."""
FIRST_BROKEN = 500


@dataclass(frozen=True, slots=True)
class Reply:
    """What one version did with one request."""

    status: int
    """HTTP status; 0: no answer at all."""
    seconds: float
    answer: dict[str, Any] | None
    """In the canonical form; None if it failed."""

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= FIRST_BROKEN


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, answered by both."""

    stable: Reply
    candidate: Reply
    death: str = ""
    """Why the candidate's server is gone; empty while it runs."""


def ask(stable: Server, candidate: Server, requests: Sequence[Request]) -> Iterator[Exchange]:
    """Every request in its turn; ends early where the candidate's server died."""
    with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
        arms = (_Arm(client, stable), _Arm(client, candidate))
        for number, request in enumerate(requests):
            order = (0, 1) if number % 2 else (1, 0)
            replies = {arm: arms[arm].ask(request, f"replay-{number}") for arm in order}
            death = candidate.death()
            yield Exchange(replies[0], replies[1], death)
            if death:
                return


class _Arm:
    def __init__(self, client: httpx.Client, server: Server) -> None:
        self._client, self._url, self._after = client, server.url, 0

    def ask(self, request: Request, identity: str) -> Reply:
        headers = {**request.headers, "x-request-id": identity, "x-modelserve-sample": "1"}
        begun = time.perf_counter()
        try:
            reply = self._client.post(self._url + request.path, content=request.body, headers=headers)
            seconds = time.perf_counter() - begun
            return Reply(reply.status_code, seconds, self._answer(identity))
        except httpx.HTTPError:
            return Reply(0, time.perf_counter() - begun, None)

    def _answer(self, identity: str) -> dict[str, Any] | None:
        page = self._client.get(f"{self._url}/internal/answers", params={"after": self._after}).json()
        self._after = page["next"]
        found = (each["answer"] for each in page["answers"] if each["id"] == identity)
        return next(found, None)
