"""The outermost layer: every answer says who gave it, and no defect gets out as anything but a status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc

from modelserve.errors import ModelServeError, Unavailable
from modelserve.protocol import faults
from modelserve.serving.grpc import statuses
from modelserve.serving.grpc.rpc import Context, Rpc
from modelserve.serving.identity import Identity
from modelserve.serving.logs import EventLog
from modelserve.serving.segments import Segments

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Answer = Callable[[bytes, Rpc], Awaitable[bytes]]
"""A request's bytes to the answer's. Raises ModelServeError."""
Converse = Callable[[Rpc], Awaitable[None]]
"""Reads requests from the call and writes answers to it. Raises ModelServeError."""
T = TypeVar("T")


class Edge:
    """Makes gRPC's handlers of ours."""

    def __init__(self, server: Identity, timeout: float, log: EventLog, segments: Segments) -> None:
        self._server, self._timeout, self._log, self._segments = server, timeout, log, segments
        self._running: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._passage = asyncio.Event()
        self._passage.set()

    def cut_off(self) -> None:
        """Tell the clients of all calls that still run that the server stops."""
        self._closing = True
        for task in self._running:
            task.cancel()

    def hold(self) -> None:
        """Keep finished answers back: a client that waits for one sends nothing that could get lost."""
        self._passage.clear()

    def release(self) -> None:
        self._passage.set()

    def unary(self, answer: Answer) -> Handler:
        """An answer and a refusal each leave in one piece, so what they say of themselves trails: once a
        proxy has passed a first piece on, it can't try again elsewhere when the rest does not come."""

        async def handle(body: bytes, context: Context) -> bytes:
            rpc = Rpc.of(context, self._server, self._timeout, self._segments)
            outcome = await self._outcome(answer(body, rpc), rpc)
            await self._passage.wait()
            if isinstance(outcome, ModelServeError):
                await _refuse(rpc, outcome)
            context.set_trailing_metadata(rpc.identity)
            return outcome

        return grpc.unary_unary_rpc_method_handler(handle)

    def stream(self, converse: Converse) -> Handler:
        async def handle(_: AsyncIterator[bytes], context: Context) -> None:
            rpc = Rpc.of(context, self._server, self._timeout, self._segments)
            await context.send_initial_metadata(rpc.identity)
            outcome = await self._outcome(converse(rpc), rpc)
            if outcome is not None:
                await _refuse(rpc, outcome)

        return grpc.stream_stream_rpc_method_handler(handle)

    async def _outcome(self, work: Awaitable[T], rpc: Rpc) -> T | ModelServeError:
        """What ``work`` gives, or why it gave nothing."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - handlers run in tasks
        self._running.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._closing:
                raise
            task.uncancel()
            return Unavailable("the server stopped before the answer was there")
        except Exception as error:
            return self._told(error, rpc)
        finally:
            self._running.discard(task)

    def _told(self, error: Exception, rpc: Rpc) -> ModelServeError:
        if not isinstance(error, ModelServeError):
            self._log.error("internal_error", error, request_id=rpc.exchange.request_id)
        return faults.told(error, rpc.exchange.request_id)


async def _refuse(rpc: Rpc, error: ModelServeError) -> NoReturn:
    """End the call with a status."""
    trailers = (*rpc.identity, *statuses.trailers(error))
    await rpc.context.abort(statuses.status(error), statuses.details(error), trailers)
