"""The one answer behind every protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from modelserve.domain.inference import InferenceRequest, InferenceResponse
from modelserve.errors import Conflict, NotReady
from modelserve.serving.repository import Repository
from modelserve.serving.served import Served


class Dataplane:
    """Answers for the models of one server. Lives on the event loop's thread."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.draining = False
        """Set when the process is told to stop: no longer ready, but it still answers."""
        self.started = False
        """Set when what must be in memory from the start is there."""

    @property
    def ready(self) -> bool:
        """Whether the server wants to be sent calls."""
        return not self.unready

    @property
    def unready(self) -> str:
        """Why the server does not want to be sent calls; empty if it does."""
        if self.draining:
            return "stopping"
        if not self.started:
            return "the model is still being loaded"
        one = () if self.repository.on_demand else self.repository.served()
        return "" if all(served.available for served in one) else "the engine is out of reach"

    def require_ready(self) -> None:
        """Raise NotReady unless the server wants to be sent calls."""
        if reason := self.unready:
            raise NotReady(reason, retry_after=1.0)

    def find(self, name: str, version: str | None) -> Served | None:
        """The model if it is in memory. Raises UnknownModel or UnknownRevision."""
        return self.repository.find(name, version)

    async def model(self, name: str, version: str | None, deadline: float | None = None) -> Served:
        """The model that answers for these names, loaded first if need be; to be held: ``with served``.

        Raises UnknownModel, UnknownRevision, NotReady, DeadlineExceeded (monotonic seconds) or Unavailable.
        """
        return await self.repository.acquire(name, version, deadline)

    async def answer(self, request: InferenceRequest) -> InferenceResponse:
        """Find the model and run one call.

        Raises UnknownModel, UnknownRevision, NotReady, InvalidInput, PayloadTooLarge, UnsupportedMedia,
        Overloaded, DeadlineExceeded, Unavailable or ModelFailed.
        """
        with await self.model(request.model, request.revision, request.deadline) as served:
            return await served.answer(request)

    async def stream(self, request: InferenceRequest) -> AsyncGenerator[InferenceResponse, None]:
        """Run one call and give its answer piece by piece; one piece if the model makes no more.

        Raises as :meth:`answer` does. Closing the iterator ends the model's work on the answer.
        """
        with await self.model(request.model, request.revision, request.deadline) as served:
            async with aclosing(served.stream(request)) as pieces:
                async for piece in pieces:
                    yield piece

    async def load(self, name: str) -> Served:
        """Load or reload a model of the repository. Raises Conflict, or what loading raises."""
        self._require_many()
        return await self.repository.load(name)

    async def unload(self, name: str) -> None:
        """Let go of a model of the repository. Raises Conflict, UnknownModel."""
        self._require_many()
        await self.repository.unload(name)

    def _require_many(self) -> None:
        if not self.repository.on_demand:
            raise Conflict(
                "this server has one model from start to end; one with a repository loads and unloads"
            )

    async def close(self) -> bool:
        """Stop the workers and let go of the models. Whether no run was left behind."""
        return await self.repository.close()
