"""What a load test is to do, and how it is told to the processes that do it."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from modelserve.errors import InvalidInput

BEAT = 0.5
"""Seconds between two reports of a process's progress."""
Arrivals = Literal["poisson", "constant"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One load test, or one process's part of it. Times in seconds. Raises InvalidInput."""

    host: str
    port: int
    requests: tuple[bytes, ...] = field(repr=False)
    """Whole HTTP requests, sent in turn."""
    tls: bool = False
    clients: int = 8
    """Connections. Closed loop: each one a client. Open loop: the requests that can be under way at once."""
    rate: float | None = None
    """Requests per second of an open loop; None: a closed loop."""
    arrivals: Arrivals = "poisson"
    duration: float = 10.0
    warm_up: float = 1.0
    """Load before counting."""
    timeout: float = 30.0
    """From the time at which a request is due until it counts as failed."""
    seed: int = 0
    part: int = 0
    parts: int = 1

    def __post_init__(self) -> None:
        for name in ("clients", "duration", "timeout", "rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInput(f"{name}: got {value}; give more than 0")
        if self.warm_up < 0:
            raise InvalidInput(f"warm_up: got {self.warm_up}; give 0 or more")
        if not self.requests:
            raise InvalidInput("samples: there are none; give at least one request")

    def split(self, parts: int) -> list[Plan]:
        """The plan for each of several processes; the sum of them is this plan. Raises InvalidInput."""
        if not 1 <= parts <= self.clients:
            raise InvalidInput(f"processes: got {parts}; give 1 to {self.clients}, the number of clients")
        rate = None if self.rate is None else self.rate / parts
        shares = [self.clients // parts + (part < self.clients % parts) for part in range(parts)]
        return [
            replace(self, clients=share, rate=rate, part=part, parts=parts)
            for part, share in enumerate(shares)
        ]

    def as_json(self) -> str:
        told = asdict(self) | {"requests": [base64.b64encode(each).decode() for each in self.requests]}
        return json.dumps(told)

    @classmethod
    def from_json(cls, told: str) -> Plan:
        fields: dict[str, Any] = json.loads(told)
        fields["requests"] = tuple(base64.b64decode(each) for each in fields["requests"])
        return cls(**fields)
