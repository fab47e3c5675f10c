"""Everything that the controller works with, in one place."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelserve.control.book import Book
from modelserve.control.exposures import Tail
from modelserve.control.fetching import Fetcher
from modelserve.control.judging.judgements import Judgements
from modelserve.control.judging.prometheus import Prometheus
from modelserve.control.labels import LabelDesk
from modelserve.control.ledgers import Ledgers
from modelserve.domain.models import Allowed
from modelserve.domain.routes import Endpoint
from modelserve.domain.workloads import Replica, Workload
from modelserve.experiments.ledger import Ledger
from modelserve.launchers.base import Launcher
from modelserve.observers.base import Observer
from modelserve.observers.differences import Differences
from modelserve.observers.labels import LabelsObserver
from modelserve.routers.base import Router
from modelserve.sources import Sources
from modelserve.stores.blobs.base import Blobs


@dataclass
class Platform:
    """The ports, and what the controller remembers between two ticks; it may forget all of that."""

    book: Book
    blobs: Blobs
    launcher: Launcher
    router: Router
    observers: tuple[Observer, ...]
    control: Endpoint | None = None
    allowed: Allowed = field(default_factory=Allowed)
    """What the operator lets packages do."""
    cache_url: str = field(default="memory://", repr=False)
    """Where model servers keep answers, if their service wants them kept; may hold a password."""
    grpc: bool = False
    """Whether model servers speak gRPC, too."""
    machine_cache: Path | None = None
    """Where model servers remember how fast models run on this machine; None: nowhere."""
    exposures: Tail | None = None
    """Where the front door logs who met which arm of an experiment."""
    judgements: Judgements = field(default_factory=Judgements)
    """What others ask the judge about."""
    prometheus: Prometheus = field(default_factory=Prometheus)
    """Where such a question may have its counts from."""
    now: Callable[[], float] = time.time
    sources: Sources = field(default_factory=Sources.none)
    """Where models may come from, besides this machine."""
    artefacts_limit: int = 0
    """Bytes that artefacts may take on this machine before unused ones leave; 0: any number."""
    predictions_kept: float = 7 * 86400.0
    """Seconds that predictions and labels are remembered."""
    predictions_most: int = 1_000_000
    """Predictions that are remembered; the oldest go first."""
    errands: tuple[Callable[[], Awaitable[object]], ...] = ()
    """What is done every second beside the ticks; one that fails is tried again."""

    replicas: tuple[Replica, ...] = ()
    """As last seen."""
    applied: dict[str, Workload] = field(default_factory=dict)
    """What the launcher was told last, by revision."""
    in_force: bool = False
    """Whether the proxy routes by the latest table."""
    troubles: dict[str, str] = field(default_factory=dict)
    """What could not be done in the last tick, and why, by where: shown by ``status``."""
    differences: Differences = field(default_factory=Differences)
    """Requests on which the versions of a rollout differ most."""
    fetcher: Fetcher = field(init=False)
    ledgers: Ledgers = field(default_factory=Ledgers)
    """What experiments have found so far."""
    reading: dict[tuple[str, float], asyncio.Task[tuple[Ledger, ...]]] = field(default_factory=dict)
    """By experiment and when it was applied, ledgers of bandits that are being brought up to date."""
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Outcomes by experiment and what became of them, for Prometheus."""
    labels: LabelDesk = field(init=False)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(self.blobs, self.sources)
        self.labels = LabelDesk(self.book, self.now, self.predictions_kept, self.predictions_most)
        self.observers = (*self.observers, LabelsObserver(self.labels))
