"""Every setting: meaning, unit, default and why, under its field.

``PlatformSettings`` come from ``MODELSERVE_*`` environment variables or command-line options;
``ServerSettings`` are written by the controller for each model server that it starts.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from modelserve._kit.machine import usable_cores

USUAL_BATCH = 8
"""Items in one run of a model of which nothing else is known: on CPU all of batching's gain is there by 8."""


def default_home() -> Path:
    """``$MODELSERVE_HOME``, else ``.modelserve`` in the home directory, also where HOME is empty or unset."""
    if chosen := os.environ.get("MODELSERVE_HOME"):
        return Path(chosen).expanduser().absolute()
    home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(home) / ".modelserve"


def _listed(value: Any) -> Any:
    """A text with commas as the list it stands for."""
    if not isinstance(value, str):
        return value
    return tuple(entry.strip() for entry in value.split(",") if entry.strip())


def grpc_is_installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in ("grpc", "google.protobuf"))
    except ModuleNotFoundError:  # nothing of Google's at all
        return False


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlatformSettings(_Settings):
    """What ``modelserve up`` may be told."""

    home: Path = Field(default_factory=default_home)
    """Folder of records, artefacts, logs and sockets. One platform per folder."""
    host: str = "127.0.0.1"
    """Address of the front door. Loopback unless told otherwise: nothing here asks who is calling yet."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port of the front door."""
    grpc: bool = Field(default_factory=grpc_is_installed)
    """Whether models are reached over gRPC too, on the same port. Each model server takes some 8 MB more for
    it. On where ``modelserve[grpc]`` is installed."""
    records_url: str = ""
    """``sqlite:///path`` or ``postgresql://...``; empty: ``records.db`` in ``home``."""
    artefacts_url: str = ""
    """Where artefacts are kept: ``s3://bucket/prefix`` or ``file:///folder``; empty: in ``home``, where the
    copies of those in S3 lie too."""
    artefacts_limit: Annotated[int, Field(ge=0)] = 0
    """Bytes that artefacts may take on this machine; beyond it those that no revision and no registered
    version names leave, the longest unused first. 0: nothing leaves by itself."""
    fetch_limit: Annotated[int, Field(ge=1)] = 20 * 1024**3
    """Bytes that one model may have, also after unpacking."""
    fetch_files: Annotated[int, Field(ge=1)] = 10_000
    """Files that one model may have."""
    fetch_stall: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Seconds without a byte, or below 1 KiB a second, after which a transfer is given up and tried again."""
    trusted_hosts: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Hosts (``host``, ``host:port``, ``*.domain``; in the environment divided by commas) that ``https://``
    URIs may lead to although their address is private, and by plain ``http://`` too. Nobody by default: a
    spec must not make this machine ask its own network."""
    cache_url: Annotated[str, Field(repr=False)] = "memory://"
    """Where services that ask for a cache keep their answers: ``memory://`` (each model server for itself) or
    ``redis://...``, ``rediss://...`` (all share it). Shown nowhere: it may hold a password."""
    prometheus_url: Annotated[str, Field(repr=False, pattern="^(https?://.*)?$")] = ""
    """Prometheus for guardrails that ask it and name no URL of their own; empty: none. May hold a
    password."""
    predictions_kept: Annotated[float, Field(ge=60, le=366 * 86400)] = 7 * 86400.0
    """Seconds that predictions of services with a guardrail of labels, and their labels, are remembered: a
    label that comes later finds nothing. A week covers what people look at once a week."""
    predictions_most: Annotated[int, Field(ge=1)] = 1_000_000
    """Predictions that are remembered, of all services together; the oldest go first. Some 300 bytes each."""
    tick: Annotated[float, Field(ge=0.1, le=1.0)] = 0.5
    """Seconds between two looks at a rollout. At most 1: a fault is seen within a tick."""
    looks_kept: Annotated[int, Field(ge=0, le=1_000_000)] = 20_000
    """Looks of one rollout that are kept, so that its verdicts can be explained: at two a second almost three
    hours, some 2 MB. Older ones go first. 0: none are kept; then only the changes of state are explained."""
    rollouts_explained: Annotated[int, Field(ge=1, le=1000)] = 10
    """Rollouts of one service whose looks are kept, the latest."""
    allow_code: bool = False
    """Whether packages may answer with code of their own (runtime ``python``). It runs as the platform's
    user, with all that this user may do: off unless everybody who may apply a service is trusted so far."""
    allow_pickle: bool = False
    """Whether scikit-learn models may be pickle or joblib files. Reading one runs whatever its author put
    there, as the platform's user: off unless everybody who may apply a service is trusted so far."""

    allow_external: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Hosts (``host``, ``host:port``, ``*.domain``; in the environment divided by commas) that requests may
    be sent on to by runtime ``external``, and that guardrails may ask. This machine itself always; nobody
    else by default."""

    @classmethod
    def from_environment(cls, **given: Any) -> PlatformSettings:
        """Options that are not None beat ``MODELSERVE_*`` variables, which beat the defaults.

        Raises pydantic.ValidationError, which names the field.
        """
        prefix = "MODELSERVE_"
        found = {
            name: os.environ[prefix + name.upper()]
            for name in cls.model_fields
            if name != "home" and os.environ.get(prefix + name.upper())
        }
        return cls(**found | {key: value for key, value in given.items() if value is not None})

    @property
    def artefacts(self) -> str:
        return self.artefacts_url or Home(self.home).artefacts.as_uri()

    @property
    def records(self) -> str:
        return self.records_url or f"sqlite:///{self.home / 'records.db'}"


@dataclass(frozen=True, slots=True)
class Home:
    """Where the files of one platform lie."""

    path: Path

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def about(self) -> Path:
        """How to reach the running platform, as JSON: pid, control URL, front door URL."""
        return self.path / "platform.json"

    @property
    def envoy(self) -> Path:
        return self.path / "envoy"

    @property
    def servers(self) -> Path:
        return self.path / "servers"

    @property
    def artefacts(self) -> Path:
        return self.path / "artefacts"

    @property
    def sources(self) -> Path:
        """What is remembered of fetches, and what is half-way here."""
        return self.path / "sources"

    @property
    def judgements(self) -> Path:
        """What others asked the judge about."""
        return self.path / "judgements"

    @property
    def machine_cache(self) -> Path:
        """What model servers found out about models on this machine."""
        return self.path / "machine"

    @property
    def log(self) -> Path:
        return self.path / "controller.log"


class ServerSettings(_Settings):
    """What one model server is told. The launcher writes it as a JSON file."""

    service: str
    """Name of the model service, as clients call it."""
    revision: str
    """Name of the revision; goes out with every answer as ``x-modelserve-revision``."""
    package: Path = Path()
    """Folder of the model package."""
    repository: Path | None = None
    """Folder with many packages, loaded when they are asked for, instead of ``package``."""
    memory_budget: Annotated[int, Field(ge=1)] | None = None
    """Bytes that the models of a repository may take together, as measured; None: no bound. Beyond it, the
    model that was not asked for the longest goes."""
    task: str | None = None
    """Overrides the task that the package states or implies."""
    runtime: str | None = None
    """The engine that runs the model; None: the one that the package's files imply."""
    device: str = "auto"
    """Where the engine runs: ``auto`` (a GPU if the engine finds one), ``cpu``, ``cuda`` or ``tensorrt``."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port to listen on; 0: any free one, told in ``announce``."""
    grpc_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port for gRPC; 0: any free one, told in ``announce``. None: no gRPC. Needs ``modelserve[grpc]``."""
    http_workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that read and write HTTP in front of one that runs the model; 0: one process does it all."""
    announce: Path | None = None
    """File that gets ``{"pid", "port", "epoch"}`` as JSON, and ``"grpc_port"`` where there is one, once the
    sockets are bound, and ``"remarks"`` once the model is loaded. None: nowhere."""
    batching: bool | None = None
    """Whether requests may share a run: true if the model's owner says so, false to run each alone and whole;
    None: as the package says, else where its names and a trial allow it."""
    warm_up: bool = True
    """Whether the model must answer inputs made up from its signature before anyone waits for it."""
    max_batch: Annotated[int, Field(ge=1)] | None = None
    """Items in one run of the model; None: as calibration finds, else ``USUAL_BATCH``."""
    max_delay: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that a free worker waits for company; 0: never."""
    max_waiting: Annotated[int, Field(ge=1)] = 256
    """Requests in the queue; one more is refused with 503."""
    timeout: Annotated[float, Field(gt=0)] = 10.0
    """Seconds from arrival to answer."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Batches that run at the same time; 0: as calibration finds, else as many as there are cores for."""
    cores_per_run: Annotated[int, Field(ge=0)] = 0
    """Cores that one run may use, where the engine lets itself be told; 0: as calibration finds, else 1."""
    calibration: Annotated[float, Field(ge=0, le=60)] = 1.5
    """Seconds that measuring what was left open above may take, once for a model on a machine; 0: never."""
    machine_cache: Path | None = None
    """Folder that remembers, by artefact and machine, what calibration found and the graphs that the engine
    has optimised. None: every start does it again."""
    allow_code: bool = False
    """Whether the package may answer with code of its own."""
    allow_external: tuple[str, ...] = ()
    """Hosts beside this machine that requests may be sent on to."""
    allow_pickle: bool = False
    """Whether the package's model may be a pickle."""
    isolated: bool = False
    """Whether the engine has processes of its own; the runtime ``python`` always does."""
    engine_processes: Annotated[int, Field(ge=1)] = 1
    """Processes of an isolated engine, each with the whole model in its memory."""
    engine_limit: Annotated[float, Field(gt=0)] = 60.0
    """Seconds of one run in an isolated engine, after which its process is killed."""
    engine_memory: Annotated[int, Field(ge=1)] | None = None
    """Resident bytes of an isolated engine's process from which it is replaced between two runs."""
    max_body: Annotated[int, Field(ge=1)] = 16 * 1024 * 1024
    """Bytes of one request body; more is refused with 413 before it is read, also where the model's tensors
    leave no use for as many. Four times as many are held at the same time."""
    client_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds in which a client must have sent its request, and take something of its answer; after that its
    connection is closed. A client that sends a byte a second holds memory and a connection."""
    max_items: Annotated[int, Field(ge=1)] = 1024
    """Items (texts, images, rows) in one request."""
    answers_kept: Annotated[int, Field(ge=0)] = 4096
    """Sampled answers kept in memory for comparison; the oldest go first."""
    predictions_kept: Annotated[int, Field(ge=0)] = 65_536
    """Predictions of live requests kept in memory until the controller has read them, where it wants them;
    the oldest go first."""
    cache_ttl: Annotated[float, Field(gt=0)] | None = None
    """Seconds for which an answer is given again to the same question. None: never, no cache is opened."""
    cache_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024
    """Bytes of answers kept in this process, if they are kept here at all."""
    cache_url: Annotated[str, Field(repr=False)] = "memory://"
    """Where answers are kept: ``memory://`` (this process) or ``redis://...``; may hold a password."""
    feature_bytes: Annotated[int, Field(ge=0)] = 0
    """Bytes of prepared inputs (tokens, pixels) kept in this process; 0: none."""
    drain: Annotated[float, Field(ge=0)] = 25.0
    """Seconds that a stopping server gives requests in flight; below Kubernetes' grace period of 30."""

    @property
    def calibrations(self) -> Path | None:
        return self.machine_cache / "calibrations" if self.machine_cache else None

    @property
    def graphs(self) -> Path | None:
        return self.machine_cache / "graphs" if self.machine_cache else None

    @property
    def worker_threads(self) -> int:
        """As many as told, else as many as this process has cores for."""
        return self.threads or max(1, usable_cores() // (self.cores_per_run or 1))

    @property
    def batch_size(self) -> int:
        """Items in one run: as many as told, else the usual number."""
        return self.max_batch or USUAL_BATCH
