"""What there is to call: the inference service and the health check, method by method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from modelserve import __version__
from modelserve.domain.inference import REPOSITORY_EXTENSION
from modelserve.errors import NotFound
from modelserve.protocol import oip_grpc
from modelserve.protocol.messages import health_pb2 as health
from modelserve.protocol.messages import inference_pb2 as messages
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.grpc.edge import Answer, Edge, Handler
from modelserve.serving.grpc.inference import Inference
from modelserve.serving.grpc.rpc import Rpc
from modelserve.serving.grpc.streams import Streams
from modelserve.serving.management import require_no_overrides, states
from modelserve.serving.repository import State

INFERENCE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
HEALTH = health.DESCRIPTOR.services_by_name["Health"].full_name

Request = TypeVar("Request", bound=Message)


def inference_methods(
    edge: Edge, plane: Dataplane, inference: Inference, streams: Streams
) -> Mapping[str, Handler]:
    """The handlers of ``inference.GRPCInferenceService`` by name."""
    told = _Told(plane)
    plain = {
        "ServerLive": _plain(messages.ServerLiveRequest, told.live),
        "ServerReady": _plain(messages.ServerReadyRequest, told.ready),
        "ModelReady": _plain(messages.ModelReadyRequest, told.model_ready),
        "ServerMetadata": _plain(messages.ServerMetadataRequest, told.server),
        "ModelMetadata": _change(messages.ModelMetadataRequest, told.model),
        "RepositoryIndex": _plain(messages.RepositoryIndexRequest, told.index),
        "RepositoryModelLoad": _change(messages.RepositoryModelLoadRequest, told.load),
        "RepositoryModelUnload": _change(messages.RepositoryModelUnloadRequest, told.unload),
        "ModelInfer": inference.infer,
    }
    unary = {name: edge.unary(answer) for name, answer in plain.items()}
    return {**unary, "ModelStreamInfer": edge.stream(streams.converse)}


def health_methods(edge: Edge, plane: Dataplane) -> Mapping[str, Handler]:
    """The handlers of ``grpc.health.v1.Health`` by name."""
    return {"Check": edge.unary(_plain(health.HealthCheckRequest, _Told(plane).check))}


def _plain(kind: type[Request], tell: Callable[[Request], Message]) -> Answer:
    """A method that only tells something."""

    async def answer(body: bytes, _: Rpc) -> bytes:
        return tell(oip_grpc.parse(kind, body)).SerializeToString()

    return answer


def _change(kind: type[Request], change: Callable[[Request], Awaitable[Message]]) -> Answer:
    """A method that may load a model or let go of one."""

    async def answer(body: bytes, _: Rpc) -> bytes:
        return (await change(oip_grpc.parse(kind, body))).SerializeToString()

    return answer


class _Told:
    """What the server tells about itself and its model."""

    def __init__(self, plane: Dataplane) -> None:
        self._plane = plane

    def live(self, _: messages.ServerLiveRequest) -> Message:
        return messages.ServerLiveResponse(live=True)

    def ready(self, _: messages.ServerReadyRequest) -> Message:
        return messages.ServerReadyResponse(ready=self._plane.ready)

    def model_ready(self, request: messages.ModelReadyRequest) -> Message:
        served = self._plane.repository.find(request.name, request.version or None)
        return messages.ModelReadyResponse(ready=self._plane.ready and served is not None)

    def server(self, _: messages.ServerMetadataRequest) -> Message:
        extensions = (REPOSITORY_EXTENSION,) if self._plane.repository.on_demand else ()
        return messages.ServerMetadataResponse(name="modelserve", version=__version__, extensions=extensions)

    async def model(self, request: messages.ModelMetadataRequest) -> Message:
        served = await self._plane.model(request.name, request.version or None)
        return oip_grpc.model_metadata(served.name, served.revision, served.signature, served.runtime)

    def index(self, request: messages.RepositoryIndexRequest) -> Message:
        told = messages.RepositoryIndexResponse()
        for entry, state in states(self._plane):
            if state is State.READY or not request.ready:
                told.models.add(name=entry.name, version=entry.version, state=state, reason=entry.reason)
        return told

    async def load(self, request: messages.RepositoryModelLoadRequest) -> Message:
        require_no_overrides(request.parameters)
        await self._plane.load(request.model_name)
        return messages.RepositoryModelLoadResponse()

    async def unload(self, request: messages.RepositoryModelUnloadRequest) -> Message:
        await self._plane.unload(request.model_name)
        return messages.RepositoryModelUnloadResponse()

    def check(self, request: health.HealthCheckRequest) -> Message:
        if request.service not in ("", INFERENCE, HEALTH):
            raise NotFound(f'service: got "{request.service[:64]}"; this server has {INFERENCE} and {HEALTH}')
        status = health.HealthCheckResponse.ServingStatus
        return health.HealthCheckResponse(status=status.SERVING if self._plane.ready else status.NOT_SERVING)
