"""What goes over the wire, before and after any socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

TIMEOUT_HEADER = "x-modelserve-timeout-ms"
"""Whole milliseconds that the client will still wait; the server gives up when they are over."""
REVISION_HEADER = "x-modelserve-revision"
REQUEST_ID_HEADER = "x-request-id"


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request; ``path`` is quoted and relative to the server's URL."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def within(self, seconds: float) -> Call:
        """The same call, telling the server how long its client will wait."""
        told = {TIMEOUT_HEADER: str(max(1, int(seconds * 1000)))}
        return replace(self, headers={**self.headers, **told})

    def with_headers(self, headers: Mapping[str, str]) -> Call:
        return replace(self, headers={**self.headers, **headers})


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response; the headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
