"""A model package: what a folder of model files says about itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

from modelserve.domain.inference import Signature

_LOOPBACK = re.compile(r"127(\.[0-9]{1,3}){3}")


class Task(StrEnum):
    """What a model is for, by the names the Hugging Face hub uses, plus plain tensors."""

    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105 - a task, not a secret
    IMAGE_CLASSIFICATION = "image-classification"
    TENSOR = "tensor"


class Scores(StrEnum):
    """What a classifier's logits become, so that people can read them."""

    SOFTMAX = "softmax"
    """Probabilities of classes of which one is right; they sum to 1."""
    SIGMOID = "sigmoid"
    """Probabilities of labels that hold or not, each by itself."""
    VALUES = "values"
    """What the model gave: a regression."""


class Runtime(StrEnum):
    """Engines that can run a model file."""

    ONNX = "onnx"
    PYTHON = "python"
    EXTERNAL = "external"
    TORCH = "torch"
    SKLEARN = "sklearn"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"


class Device(StrEnum):
    """Where an engine runs a model."""

    AUTO = "auto"
    """On a GPU where the engine finds one, else on the processor."""
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    """On a GPU by way of TensorRT, which compiles the model for it first: that takes minutes."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator of the platform lets packages do."""

    code: bool = False
    """Answer with code of their own."""
    hosts: tuple[str, ...] = ()
    """Send requests on to these: ``host``, ``host:port`` or ``*.domain``; this machine itself always."""

    def sends_to(self, host: str, port: int) -> bool:
        """Whether requests may be sent on to a server there."""
        host = host.lower().strip("[]")
        if host in ("localhost", "::1") or _LOOPBACK.fullmatch(host):
            return True
        return any(fnmatch(host, entry) or fnmatch(f"{host}:{port}", entry) for entry in self.hosts)

    pickle: bool = False
    """Keep their model in a pickle, which runs what it says when it is read."""


@dataclass(frozen=True, slots=True)
class PackageLimits:
    """Bounds on one input. ``max_length`` counts tokens, ``max_pixels`` counts width times height."""

    max_length: int = 512
    max_pixels: int = 20_000_000


@dataclass(frozen=True, slots=True)
class PythonCode:
    """Code that comes with a package and answers: ``module:Class``, and distributions that it imports."""

    entry: str = "model:Model"
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class External:
    """A model that another server answers for, by the Open Inference Protocol v2.

    ``url`` is that of the model, ``http(s)://host:port/v2/models/NAME`` and perhaps ``/versions/VERSION``;
    ``binary`` tells whether the server takes tensors as raw bytes.
    """

    url: str
    binary: bool = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A folder that was read and found fit to serve.

    ``digest`` is the sha256 over the names and contents of its files: equal digests mean equal answers.
    """

    path: Path
    digest: str
    layout: str
    task: Task
    model_file: Path
    signature: Signature
    labels: tuple[str, ...] = ()
    logits: str = ""
    """The output that the task makes its answer of; nothing for tensors."""
    scores: Scores = Scores.SOFTMAX
    """What the task makes of logits for the labels."""
    limits: PackageLimits = PackageLimits()
    reference: Path | None = None
    description: str = ""
    deterministic: bool = True
    """Whether equal inputs get equal outputs, as the package declares it, or its layout lets expect."""
    batching: bool | None = None
    """Whether requests may share a run, as the owner says; None: where nothing speaks against it."""
    warm_up: bool = True
    """Whether the model is run before anyone waits for it, and has to be fit for that."""
    runtime: Runtime = Runtime.ONNX
    """The engine that runs ``model_file``: asked for in the spec, else what the layout implies."""
    code: PythonCode | None = None
    """Set where serving the package means running code that came with it."""
    external: External | None = None
    """Set where the package is only a reference to a server elsewhere."""
    pickled: bool = False
    """Whether ``model_file`` is a pickle: loading it runs what its author put there."""
