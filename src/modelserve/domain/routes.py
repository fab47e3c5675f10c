"""The route table: the one description of traffic, in words that are no proxy's own."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str
    port: int
    grpc_port: int = 0
    """0 where no gRPC is spoken."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The replicas of one revision that may be sent requests."""

    revision: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    """A share of the live traffic. The weights of one service sum to 100 (percent, two decimals kept)."""

    revision: str
    percent: float
    arm: str = "stable"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A share of the live traffic of which ``revision`` gets a copy; its answers reach no client."""

    revision: str
    percent: float
    repeat: bool = False
    """Whether the fallback answers each copy too, so that it can be compared with itself."""
    inputs: bool = False
    """Whether servers may keep, in memory, what was asked."""


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """How long one call may take and how often it is tried. Seconds."""

    timeout: float = 30.0
    per_try_timeout: float | None = None
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Slots:
    """A run of neighbouring slots whose keys meet one arm."""

    arm: str
    revision: str
    size: int


@dataclass(frozen=True, slots=True)
class Split:
    """An experiment: requests that carry a key meet the arm that the slot of their key belongs to.

    The key stands in a header or in a cookie; exactly one of the two is named.
    """

    experiment: str
    slots: tuple[Slots, ...]
    """In the order of the slots; their sizes sum to 10,000."""
    header: str = ""
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """All traffic of one model service.

    ``backends`` names every revision that can be reached (by weight, mirror or header override);
    ``fallback`` is the revision that answers when a candidate can't.
    """

    service: str
    weights: tuple[Weight, ...]
    backends: tuple[Backend, ...]
    fallback: str
    mirror: Mirror | None = None
    policy: RoutePolicy = field(default_factory=RoutePolicy)
    split: Split | None = None
    """Who carries no key goes by ``weights``."""
    remember: bool = False
    """Whether servers keep what they predict, for labels that come later."""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything that the front door routes. Equal tables render to equal text."""

    services: tuple[ServiceRoute, ...] = ()
    control: Endpoint | None = None
    """Where the control API listens, or None to leave it off the front door."""
    grpc: bool = False
    """Whether the model servers are reached over gRPC, too."""
