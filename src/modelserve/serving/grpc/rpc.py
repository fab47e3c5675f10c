"""One gRPC call as its handlers see it: who asks, until when, and where the answer goes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from grpc.aio import ServicerContext

from modelserve.serving.exchange import WAY_BACK, Exchange
from modelserve.serving.identity import Identity
from modelserve.serving.segments import Segments

Metadata = tuple[tuple[str, str], ...]
Context = ServicerContext[Any, Any]


@dataclass(slots=True)
class Rpc:
    """A call, or a message of its stream, that has just arrived."""

    context: Context
    exchange: Exchange
    extra: Metadata = ()
    """What else the answer says of itself."""
    arrival: float = field(init=False)
    """Reading of the monotonic clock, in seconds; so is ``deadline``."""
    deadline: float = field(init=False)
    """The earliest of the client's, the proxy's and the server's own."""

    @classmethod
    def of(cls, context: Context, server: Identity, timeout: float, segments: Segments) -> Rpc:
        """``server`` answers unless that turns out to be another model; ``timeout`` is its own limit for one
        answer in seconds."""
        exchange = Exchange.of(_as_headers(context.invocation_metadata() or ()), timeout, server)
        if segments.asked:
            exchange.division = segments.divide(_as_headers(context.invocation_metadata() or ()))
        return cls(context, exchange)

    @property
    def identity(self) -> Metadata:
        """Who answers, and which request."""
        exchange = self.exchange
        return (*exchange.identity.metadata, ("x-request-id", exchange.request_id), *self.extra)

    def of_message(self) -> Rpc:
        """The same for a message of a stream that has just arrived. None is sampled: all share one id."""
        return Rpc(self.context, self.exchange.unsampled())

    def __post_init__(self) -> None:
        self.arrival = time.monotonic()
        self.deadline = self.arrival + min(self.exchange.time_limit, _remaining(self.context))

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.deadline


def _remaining(context: Context) -> float:
    """Seconds until the client's deadline, less a margin; infinite where it set none."""
    remaining: float | None = context.time_remaining()
    return float("inf") if remaining is None else remaining * (1 - WAY_BACK)


def _as_headers(metadata: Iterable[Any]) -> Iterable[tuple[bytes, bytes]]:
    for key, value in metadata:
        yield key.encode(), value.encode() if isinstance(value, str) else value
