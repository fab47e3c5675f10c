"""What an edge needs of whatever answers behind it: the model of this process, or that of the engine's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol, Self

from modelserve.domain.inference import InferenceRequest, InferenceResponse, Signature
from modelserve.domain.models import Task
from modelserve.serving.identity import Identity


class Counting(Protocol):
    """The figures of one revision; see :class:`modelserve.telemetry.Telemetry`."""

    def succeeded(self, arm: str, protocol: str, seconds: float, cached: bool = False) -> None: ...

    def failed(self, arm: str, protocol: str, status: int, fault: str, code: str) -> None: ...

    def divided(self, arm: str, parts: Mapping[str, str], failed: bool) -> None: ...

    def abandoned(self, arm: str) -> None: ...

    def began(self, seconds: float) -> None: ...

    def went_on(self) -> None: ...


class Counts(Protocol):
    @property
    def own(self) -> Counting:
        """The figures of the server's own revision, and of calls for models that are not there."""


class Samples(Protocol):
    def add(
        self,
        request_id: str,
        arm: str,
        status: int,
        answer: dict[str, Any] | None,
        asked: dict[str, Any] | None = None,
    ) -> None:
        """Keep a sampled answer; ``answer`` is None where the call failed with ``status``, ``asked`` where
        nothing of the request may be kept."""

    def remember(
        self, request_id: str, arm: str, predicted: dict[str, Any], parts: Mapping[str, str]
    ) -> None:
        """Keep what a live request was answered, for labels that come later."""


class Described(Protocol):
    """A model as a codec sees it."""

    @property
    def signature(self) -> Signature: ...

    @property
    def task(self) -> Task: ...


class Codec(Protocol):
    """What a model must know of a protocol."""

    name: str

    def largest_body(self, served: Described) -> int | None:
        """Bytes that a body can have which this model answers; None if unknown."""


class Answering(Described, Protocol):
    """A model as an edge sees it."""

    @property
    def identity(self) -> Identity: ...

    @property
    def telemetry(self) -> Counting: ...

    def require_room(self) -> None:
        """Raise Overloaded if one more call would be refused."""

    def largest_body(self, codec: Codec, most: int) -> int:
        """Bytes that a body in this protocol may have, at most ``most``."""

    async def answer(self, request: InferenceRequest) -> InferenceResponse: ...

    def stream(self, request: InferenceRequest) -> AsyncGenerator[InferenceResponse, None]: ...

    def __enter__(self) -> Self:
        """Hold the model: until the block ends it answers, whoever lets go of it."""

    def __exit__(self, *_: object) -> None: ...


class Plane(Protocol):
    """What leads an edge to models; raises as ``dataplane.Dataplane`` does."""

    draining: bool

    def find(self, name: str, version: str | None) -> Answering | None:
        """The model if it is known without waiting."""

    async def model(self, name: str, version: str | None, deadline: float | None = None) -> Answering: ...
