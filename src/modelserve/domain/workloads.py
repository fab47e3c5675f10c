"""What should run, and what runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Workload:
    """A number of equal replicas of one revision's model server."""

    service: str
    revision: str
    replicas: int
    config: Mapping[str, object] = field(default_factory=dict)
    """What the model server is told: package folder, batching, queue. JSON-serialisable."""

    @property
    def name(self) -> str:
        return self.revision


class ReplicaPhase(StrEnum):
    """Each value completes the sentence: the replica is ..."""

    STARTING = "starting"
    READY = "ready"
    UNRESPONSIVE = "unresponsive"
    CRASHED = "crashed"
    CRASH_LOOPING = "crash-looping"


@dataclass(frozen=True, slots=True)
class Replica:
    """One model server, as last seen. ``epoch`` changes whenever its counters begin anew."""

    workload: str
    index: int
    phase: ReplicaPhase
    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int = 0
    """0 where it speaks no gRPC, or has not said yet."""
    pid: int = 0
    epoch: str = ""
    restarts: int = 0
    reason: str = ""
    remarks: tuple[str, ...] = ()
    """What the model's owner should know of how it is served."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"
