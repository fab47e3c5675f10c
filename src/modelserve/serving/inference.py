"""The way of an inference call through the process: read, decode, answer, encode, send, count."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from modelserve.domain.inference import CacheOutcome, InferenceRequest, InferenceResponse
from modelserve.errors import DeadlineExceeded, ModelServeError
from modelserve.protocol import faults, predicted, sampled
from modelserve.protocol.payload import Payload
from modelserve.serving.answers import AnswerLog
from modelserve.serving.body import ClientGone, Held, Intake, StillSending, read_body, too_large
from modelserve.serving.codecs import Codec, Encoder, Incoming
from modelserve.serving.contracts import Answering, Counting, Counts, Plane, Samples
from modelserve.serving.edge import exchange_of
from modelserve.serving.exchange import Exchange
from modelserve.serving.logs import EventLog
from modelserve.serving.replies import fault_payload, packed, refuse_body, send_fault, send_payload
from modelserve.serving.segments import Segments
from modelserve.serving.watching import unless_gone
from modelserve.telemetry import ServerTelemetry

LARGE = 64 * 1024
"""Bytes of work in a body from which it is decoded on a thread, one such body at a time. The JSON parser
holds the interpreter while it runs, on whatever thread: in turn, the loop gets to answer between two bodies,
and the checks of a body's elements can be interrupted."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What an answer leaves behind, whatever its protocol: counts, sampled answers, log lines."""

    telemetry: Counts
    answers: Samples
    log: EventLog
    segments: Segments = field(default_factory=Segments)

    def succeeded(
        self,
        telemetry: Counting,
        exchange: Exchange,
        protocol: str,
        seconds: float,
        request: InferenceRequest,
        response: InferenceResponse,
    ) -> None:
        """Count a call that was answered ``seconds`` after its arrival; keep its answer if it is sampled.

        ``telemetry`` has the figures of the model that answered.
        """
        telemetry.succeeded(exchange.arm, protocol, seconds, response.cache is CacheOutcome.HIT)
        if exchange.division is not None and response.cache is not CacheOutcome.HIT:
            telemetry.divided(exchange.arm, exchange.division.parts(exchange.content_length, response), False)
        if exchange.sampled:
            # A copy's input is its original's.
            asked = sampled.asked(request) if exchange.keeps_input and exchange.arm != "shadow" else None
            self.answers.add(exchange.request_id, exchange.arm, 200, sampled.canonical(response), asked)
        if exchange.remembered:
            self._remember(exchange, response)

    def _remember(self, exchange: Exchange, response: InferenceResponse) -> None:
        division = exchange.division
        parts = {} if division is None else division.parts(exchange.content_length, response)
        told = predicted.predicted(response)
        self.answers.remember(exchange.request_id, exchange.arm, told, parts)

    def streamed(self, telemetry: Counting, exchange: Exchange, protocol: str, seconds: float) -> None:
        """Count a call whose answer was given in pieces, of which none is kept."""
        telemetry.succeeded(exchange.arm, protocol, seconds)
        if exchange.division is not None:
            telemetry.divided(exchange.arm, exchange.division.parts(exchange.content_length, None), False)

    def failed(
        self, telemetry: Counting, exchange: Exchange, protocol: str, error: Exception
    ) -> ModelServeError:
        """Count and log a failed call; what the client is told."""
        told = faults.told(error, exchange.request_id)
        telemetry.failed(exchange.arm, protocol, told.status, told.fault, told.code)
        if exchange.division is not None and told.fault == "server":
            telemetry.divided(exchange.arm, exchange.division.parts(exchange.content_length, None), True)
        if exchange.sampled:
            self.answers.add(exchange.request_id, exchange.arm, told.status, None)
        if told.fault == "server":
            self._log_failure(exchange, protocol, error, told)
        return told

    def _log_failure(
        self, exchange: Exchange, protocol: str, error: Exception, told: ModelServeError
    ) -> None:
        fields: dict[str, Any] = {"request_id": exchange.request_id, "arm": exchange.arm}
        fields |= {"protocol": protocol, "code": told.code}
        if error.__cause__ is not None or error is not told:  # others' words may repeat the input
            self.log.error("request_failed", error, **fields)
        else:
            self.log.warning("request_failed", message=str(error), **fields)


@dataclass(frozen=True, slots=True)
class Instruments(Ledger):
    """A ledger that can be read again in this process."""

    telemetry: ServerTelemetry
    answers: AnswerLog


class InferenceRoute:
    """An ASGI application that answers one protocol's calls; ``model`` and ``version`` are in the path."""

    takes_whole = True
    """Whether :meth:`whole` answers as calling it does."""

    def __init__(self, plane: Plane, codec: Codec, instruments: Ledger, intake: Intake) -> None:
        self._plane, self._codec, self._intake = plane, codec, intake
        self._instruments = instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        names: dict[str, str] = scope["path_params"]
        model, revision = names["model"], names.get("version")
        telemetry = self._instruments.telemetry.own
        with contextlib.ExitStack() as held_on, Held(self._intake) as held:
            try:
                served = held_on.enter_context(await self._served(model, revision, exchange))
                telemetry = served.telemetry
                body = await read_body(receive, exchange, self._admit(exchange, served), held)
                if exchange.content_length is None:
                    exchange.content_length = len(body)
            except ClientGone:
                telemetry.abandoned(exchange.arm)
            except ModelServeError as error:
                await self._refuse(error, exchange, telemetry, receive, send)
            else:
                incoming = Incoming(exchange, model, revision, body, time.monotonic())
                await self._respond(incoming, served, receive, send)

    async def _respond(self, incoming: Incoming, served: Answering, receive: Receive, send: Send) -> None:
        with contextlib.suppress(ClientGone):
            status, payload = await unless_gone(self._answer(incoming, served), receive)
            await send_payload(send, payload, status)

    async def whole(self, exchange: Exchange, names: dict[str, str], body: bytes) -> tuple[int, Payload]:
        """Answer a call whose body is here: status and payload. Cancelled when the client goes away."""
        model, revision = names["model"], names.get("version")
        telemetry = self._instruments.telemetry.own
        try:
            served = self._plane.find(model, revision)
            if served is None:
                served = await self._served(model, revision, exchange)
            exchange.identity, telemetry = served.identity, served.telemetry
            if len(body) > (limit := self._admit(exchange, served)):
                raise too_large(limit)
        except ModelServeError as error:
            return fault_payload(self._instruments.failed(telemetry, exchange, self._codec.name, error))
        with served:
            return await self._answer(Incoming(exchange, model, revision, body, time.monotonic()), served)

    async def _served(self, model: str, revision: str | None, exchange: Exchange) -> Answering:
        """The model that answers, to be held; its name goes out with every answer from here on."""
        deadline = time.monotonic() + exchange.time_limit
        served = await self._plane.model(model, revision, deadline)
        exchange.identity = served.identity
        return served

    def _admit(self, exchange: Exchange, served: Answering) -> int:
        """The bytes that the body may have. Raises what can be said before it is read."""
        served.require_room()
        return served.largest_body(self._codec, self._intake.largest)

    async def _refuse(
        self, error: ModelServeError, exchange: Exchange, telemetry: Counting, receive: Receive, send: Send
    ) -> None:
        """Answer a call whose body was not read to its end. Only one that is too large costs its connection:
        of another, the rest is thrown away as it comes."""
        told = self._instruments.failed(telemetry, exchange, self._codec.name, error)
        if isinstance(told, StillSending):
            await refuse_body(receive, send, told)
        else:
            await send_fault(send, told)

    async def _answer(self, incoming: Incoming, served: Answering) -> tuple[int, Payload]:
        """Status and payload, counted. ``served`` is held by the caller."""
        exchange, telemetry = incoming.exchange, served.telemetry
        try:
            request, encode = await self._read(incoming, served)
            response = await served.answer(request)
            payload = encode(response)
            if response.cache is not None:
                payload = _marked(payload, response.cache)
            if exchange.accept_encoding:
                payload = await packed(payload, exchange.accept_encoding)
        except asyncio.CancelledError:
            telemetry.abandoned(exchange.arm)
            raise
        except Exception as error:
            return fault_payload(self._instruments.failed(telemetry, exchange, self._codec.name, error))
        seconds = time.monotonic() - incoming.arrival
        self._instruments.succeeded(telemetry, exchange, self._codec.name, seconds, request, response)
        return 200, payload

    async def _read(self, incoming: Incoming, served: Answering) -> tuple[InferenceRequest, Encoder]:
        if len(incoming.body) < LARGE or self._codec.work(incoming, served) < LARGE:
            return self._codec.decode(incoming, served)
        return await self._decoded(incoming, served)

    async def _decoded(self, incoming: Incoming, served: Answering) -> tuple[InferenceRequest, Encoder]:
        """A large body, decoded on a thread."""
        async with self._intake.decoding:
            if time.monotonic() >= incoming.deadline:
                raise DeadlineExceeded("the deadline passed before the body was decoded")
            return await asyncio.to_thread(self._codec.decode, incoming, served)


def _marked(payload: Payload, cache: CacheOutcome) -> Payload:
    """The payload that says how its answer came about."""
    return payload._replace(headers=(*payload.headers, (b"x-modelserve-cache", cache.encode())))
