"""The way of an inference call through the gRPC edge: decode, answer, encode, count."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from modelserve.domain.inference import InferenceRequest
from modelserve.errors import DeadlineExceeded
from modelserve.protocol import oip_grpc
from modelserve.protocol.messages import inference_pb2 as messages
from modelserve.serving.body import Held, Intake
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.grpc.rpc import Rpc
from modelserve.serving.inference import LARGE, Instruments
from modelserve.serving.served import Served
from modelserve.telemetry import Telemetry

NAME = "grpc"
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Asked:
    """An infer request as it came; ``id`` is the client's own, known once it is decoded."""

    body: bytes = field(repr=False)
    rpc: Rpc
    id: str = ""
    telemetry: Telemetry | None = None
    """The figures of the model that is asked, once that is known."""


class Inference:
    """Answers one infer request, whichever call it came in."""

    def __init__(self, plane: Dataplane, instruments: Instruments, intake: Intake) -> None:
        self._plane, self._instruments, self._intake = plane, instruments, intake

    async def infer(self, body: bytes, rpc: Rpc) -> bytes:
        """ModelInfer. Raises what :meth:`answer` raises."""
        return (await self.answer(Asked(body, rpc))).SerializeToString()

    async def answer(self, asked: Asked) -> messages.ModelInferResponse:
        """Raises ModelServeError, counted and logged already."""
        rpc, own = asked.rpc, self._instruments.telemetry.own
        rpc.exchange.content_length = len(asked.body)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(Held(self._intake)).add(len(asked.body))
                served, request = await self._decoded(asked, stack)
                response = await served.answer(request)
            message = oip_grpc.answer(response, asked.id)
            if response.cache is not None:
                rpc.extra = (("x-modelserve-cache", response.cache.value),)
        except asyncio.CancelledError:
            self._cancelled(asked.telemetry or own, rpc)
            raise
        except Exception as error:
            raise self._instruments.failed(asked.telemetry or own, rpc.exchange, NAME, error) from None
        seconds = time.monotonic() - rpc.arrival
        self._instruments.succeeded(served.telemetry, rpc.exchange, NAME, seconds, request, response)
        return message

    async def _decoded(self, asked: Asked, stack: contextlib.ExitStack) -> tuple[Served, InferenceRequest]:
        """The model that is asked, held in ``stack``, and what. Large messages are read on a thread."""
        if len(asked.body) < LARGE:
            request = _parse(asked.body)
            served = stack.enter_context(await self._served(asked, request))
            return served, _decode(asked, request, served)
        request = await self._in_turn(asked.rpc, _parse, asked.body)
        served = stack.enter_context(await self._served(asked, request))
        return served, await self._in_turn(asked.rpc, _decode, asked, request, served)

    async def _in_turn(self, rpc: Rpc, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Work on a thread, one large message at a time. Raises DeadlineExceeded."""
        async with self._intake.decoding:
            if rpc.late:
                raise DeadlineExceeded("the deadline passed before the message was decoded")
            return await asyncio.to_thread(work, *given, **named)

    async def _served(self, asked: Asked, request: messages.ModelInferRequest) -> Served:
        """The model that answers; its name goes out with the answer from here on."""
        asked.id = request.id
        revision = request.model_version or None
        served = await self._plane.model(request.model_name, revision, _deadline(request, asked.rpc))
        asked.rpc.exchange.identity, asked.telemetry = served.identity, served.telemetry
        served.require_room()
        return served

    def _cancelled(self, telemetry: Telemetry, rpc: Rpc) -> None:
        """A call ends without an answer: its deadline passed, its client went away, or the server stops."""
        if rpc.late:
            late = DeadlineExceeded("the deadline passed before the answer was there")
            self._instruments.failed(telemetry, rpc.exchange, NAME, late)
        elif not self._plane.draining:
            telemetry.abandoned(rpc.exchange.arm)


def _parse(body: bytes) -> messages.ModelInferRequest:
    return oip_grpc.parse(messages.ModelInferRequest, body)


def _decode(asked: Asked, request: messages.ModelInferRequest, served: Served) -> InferenceRequest:
    exchange = asked.rpc.exchange
    return InferenceRequest(
        model=request.model_name,
        revision=request.model_version or None,
        request_id=exchange.request_id,
        tensors=oip_grpc.tensors(request, served.signature),
        outputs=oip_grpc.outputs(request, served.signature),
        deadline=_deadline(request, asked.rpc),
        priority=exchange.priority,
        cache=exchange.cache,
    )


def _deadline(request: messages.ModelInferRequest, rpc: Rpc) -> float:
    patience = oip_grpc.patience(request)
    return rpc.deadline if patience is None else min(rpc.deadline, rpc.arrival + patience)
