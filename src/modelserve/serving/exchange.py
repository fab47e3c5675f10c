"""One HTTP exchange: what its headers say about it, before anyone reads the body."""

from __future__ import annotations

import copy
import itertools
import math
import re
import uuid
from collections.abc import Callable, Iterable

from modelserve.domain.inference import CacheUse, Priority
from modelserve.serving.identity import Identity
from modelserve.serving.segments import Division
from modelserve.telemetry import ARMS

WAY_BACK = 0.05
"""Share of the proxy's or the client's time limit left for the answer's way back: a 504 of ours that comes
after they gave up would look like a client that went away, and a hanging revision would look innocent."""
_SHADOW = b"-shadow"
"""What the proxy adds to the Host of a copy, before its port if it has one."""
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class Exchange:
    """One exchange's headers; whatever is malformed counts as not sent.

    Parameters: the headers, the server's own time limit in seconds, and who answers unless that turns out to
    be somebody else.
    """

    __slots__ = (
        "accept", "accept_encoding", "arm", "cache", "content_encoding", "content_length", "content_type",
        "division", "identity", "json_length", "keeps_input", "priority", "remembered", "request_id",
        "sampled", "time_limit",
    )  # fmt: skip

    def __init__(self, request_id: str, time_limit: float, identity: Identity) -> None:
        self.request_id, self.time_limit, self.identity = request_id, time_limit, identity
        """``time_limit`` is in seconds, from the moment at which the whole request has arrived."""
        self.arm, self.sampled, self.keeps_input, self.remembered = "stable", False, False, False
        self.content_type = self.content_encoding = self.accept_encoding = self.accept = ""
        self.json_length = ""
        """Bytes of JSON before binary tensors, as sent; empty where all of the body is JSON."""
        self.content_length: int | None = None
        self.priority, self.cache = Priority.NORMAL, CacheUse.USE
        self.division: Division | None = None
        """Which part of each segment it belongs to; None where nobody asks."""

    def unsampled(self) -> Exchange:
        """The same of a message among others of one call."""
        other = copy.copy(self)
        other.sampled = other.remembered = False
        return other

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]], timeout: float, identity: Identity) -> Exchange:
        exchange = cls("", timeout, identity)
        host = arm = None
        cache = b""
        for name, value in headers:
            if (read := _READERS.get(name)) is not None:
                read(exchange, value)
            elif name == b"host":
                host = value
            elif name == b"x-modelserve-arm":
                arm = value
            elif name == b"x-modelserve-cache":
                cache = value
        exchange.arm = _arm(arm, host)
        if cache or exchange.arm == "shadow":
            exchange.cache = _cache_use(cache, exchange.arm)
        if not exchange.request_id:
            exchange.request_id = f"{_PROCESS}-{next(_numbers):012x}"
        return exchange


def _read_request_id(exchange: Exchange, value: bytes) -> None:
    if _REQUEST_ID.fullmatch(value):
        exchange.request_id = value.decode()


def _read_length(exchange: Exchange, value: bytes) -> None:
    exchange.content_length = int(value) if value.isdigit() else None


def _text(name: str) -> Callable[[Exchange, bytes], None]:
    def read(exchange: Exchange, value: bytes) -> None:
        setattr(exchange, name, value.decode("latin-1"))

    return read


def _list(name: str) -> Callable[[Exchange, bytes], None]:
    """A header of which several lines are one list (RFC 9110, 5.3)."""

    def read(exchange: Exchange, value: bytes) -> None:
        before, told = getattr(exchange, name), value.decode("latin-1")
        setattr(exchange, name, f"{before}, {told}" if before else told)

    return read


_accumulate_encoding = _list("content_encoding")


def _read_encoding(exchange: Exchange, value: bytes) -> None:
    _accumulate_encoding(exchange, value.strip().lower())


def _read_sample(exchange: Exchange, value: bytes) -> None:
    """What the proxy says alone; see ``routing.envoy.vocabulary``."""
    exchange.keeps_input = value == b"inputs"
    exchange.sampled = value == b"1" or exchange.keeps_input


def _read_remember(exchange: Exchange, value: bytes) -> None:
    exchange.remembered = value == b"1"


def _read_priority(exchange: Exchange, value: bytes) -> None:
    exchange.priority = _PRIORITIES.get(value, Priority.NORMAL)


def _limit(share: float) -> Callable[[Exchange, bytes], None]:
    def read(exchange: Exchange, value: bytes) -> None:
        if (limit := _seconds(value)) is not None:
            exchange.time_limit = min(exchange.time_limit, limit * share)

    return read


_READERS: dict[bytes, Callable[[Exchange, bytes], None]] = {
    b"x-request-id": _read_request_id,
    b"content-type": _text("content_type"),
    b"content-length": _read_length,
    b"content-encoding": _read_encoding,
    b"accept": _list("accept"),
    b"accept-encoding": _list("accept_encoding"),
    b"inference-header-content-length": _text("json_length"),
    b"x-modelserve-sample": _read_sample,
    b"x-modelserve-remember": _read_remember,
    b"x-modelserve-priority": _read_priority,
    b"x-modelserve-timeout-ms": _limit(1 - WAY_BACK),
    b"x-envoy-expected-rq-timeout-ms": _limit(1 - WAY_BACK),
}
_PRIORITIES = {priority.name.lower().encode(): priority for priority in Priority}
_PROCESS = str(uuid.uuid4())[:23]
_numbers = itertools.count(1)


def _arm(arm: bytes | None, host: bytes | None) -> str:
    """What the proxy says; the Host counts only where it says nothing, for a client chooses its own Host."""
    if arm is not None:
        named = arm.decode("latin-1")
        return named if named in ARMS else "stable"
    if host is None or _SHADOW not in host:
        return "stable"
    copied = host.endswith(_SHADOW) or host.rpartition(b":")[0].endswith(_SHADOW)
    return "shadow" if copied else "stable"


def _cache_use(told: bytes, arm: str) -> CacheUse:
    """A copy always runs the model, for that is why it was sent; its answer is kept for live requests."""
    try:
        use = CacheUse(told.decode("latin-1").strip().lower()) if told else CacheUse.USE
    except ValueError:
        use = CacheUse.USE
    return CacheUse.REFRESH if arm == "shadow" and use is CacheUse.USE else use


def _seconds(milliseconds: bytes) -> float | None:
    try:
        value = float(milliseconds) / 1000
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
