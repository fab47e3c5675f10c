"""The gRPC server of a model server process: start, drain, stop."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from modelserve.serving.body import Intake
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.grpc.edge import Edge
from modelserve.serving.grpc.inference import Inference
from modelserve.serving.grpc.services import HEALTH, INFERENCE, health_methods, inference_methods
from modelserve.serving.grpc.streams import Streams
from modelserve.serving.identity import Identity
from modelserve.serving.inference import Instruments
from modelserve.settings import ServerSettings

SETTLE = 0.05
"""Seconds for calls that are on their way to arrive, and for clients to hear that the server leaves."""
LAST_WORDS = 0.5
"""Seconds that calls which are cut off get to say so to their clients."""


class GrpcEdge:
    """Made, used and stopped on one event loop."""

    def __init__(self, settings: ServerSettings, plane: Dataplane, instruments: Instruments) -> None:
        self._settings = settings
        self._stopping: asyncio.Task[None] | None = None
        server = Identity(settings.service, settings.revision)
        self._edge = Edge(server, settings.timeout, instruments.log, instruments.segments)
        inference = Inference(plane, instruments, Intake(settings.max_body))
        self._streams = Streams(inference)
        self._server = grpc.aio.server(options=_options(settings))
        methods = {
            INFERENCE: inference_methods(self._edge, plane, inference, self._streams),
            HEALTH: health_methods(self._edge, plane),
        }
        for name, handlers in methods.items():
            self._server.add_generic_rpc_handlers(
                [grpc.method_handlers_generic_handler(name, dict(handlers))]
            )

    async def start(self) -> int:
        """Listen where the settings say; the port. Raises OSError if it is taken."""
        host, port = self._settings.host, self._settings.grpc_port or 0
        name = f"[{host}]" if ":" in host else host
        try:
            bound = self._server.add_insecure_port(f"{name}:{port}")
        except RuntimeError:
            raise OSError(f"gRPC can't listen on {name}:{port}; is the port taken?") from None
        await self._server.start()
        return bound

    def drain(self, grace: float, hurry: asyncio.Event) -> None:
        """Begin to stop: take no new calls; for ``grace`` seconds, or until ``hurry`` is set, finish those in
        flight; then tell the others that it is over."""
        self._stopping = asyncio.create_task(self._stop(grace, hurry))

    async def stop(self) -> None:
        """Wait for the end of the drain; stop at once where there was none."""
        await (self._stopping or self._stop(0.0, asyncio.Event()))

    async def _stop(self, grace: float, hurry: asyncio.Event) -> None:
        """gRPC refuses new calls from the moment at which it tells its clients to send no more. So for that
        moment answers are held back: whoever waits for one has nothing on its way."""
        self._streams.leave()
        self._edge.hold()
        await asyncio.sleep(SETTLE)
        stopped = asyncio.create_task(self._server.stop(grace + LAST_WORDS))
        await asyncio.sleep(SETTLE)
        self._edge.release()
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({stopped, hurried}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        self._edge.cut_off()
        await stopped


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # two servers must never share a port unnoticed
        ("grpc.keepalive_permit_without_calls", 1),
    ]
