"""ModelStreamInfer: many requests on one stream, answered as they are ready."""

from __future__ import annotations

import asyncio

from grpc.aio import EOF

from modelserve.errors import ModelServeError, Unavailable
from modelserve.protocol.messages import inference_pb2 as messages
from modelserve.serving.grpc.inference import Asked, Inference
from modelserve.serving.grpc.rpc import Rpc

WINDOW = 64
"""Requests of one stream that are answered at the same time; the next waits to be read."""


class Streams:
    """All conversations of this server. A request that fails ends none of them."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._readers: set[asyncio.Task[None]] = set()
        self._leaving = False

    def leave(self) -> None:
        """Read no further requests: what was read is answered, then the streams end."""
        self._leaving = True
        for reader in self._readers:
            reader.cancel()

    async def converse(self, rpc: Rpc) -> None:
        """Answer until the client has nothing more to ask. Raises Unavailable if the server stops before."""
        conversation = _Conversation(self._inference, rpc)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(conversation.read(group))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
            if self._leaving:
                reader.cancel()
        if reader.cancelled():
            raise Unavailable("the server stops; open the stream again", retry_after=1.0)


class _Conversation:
    def __init__(self, inference: Inference, rpc: Rpc) -> None:
        self._inference, self._rpc = inference, rpc
        self._room = asyncio.Semaphore(WINDOW)
        self._writing = asyncio.Lock()

    async def read(self, group: asyncio.TaskGroup) -> None:
        context = self._rpc.context
        while (body := await context.read()) is not EOF:
            asked = Asked(body, self._rpc.of_message())
            await self._room.acquire()
            group.create_task(self._reply(asked)).add_done_callback(lambda _: self._room.release())

    async def _reply(self, asked: Asked) -> None:
        message = await self._answer(asked)
        async with self._writing:
            await self._rpc.context.write(message.SerializeToString())

    async def _answer(self, asked: Asked) -> messages.ModelStreamInferResponse:
        try:
            answer = await self._inference.answer(asked)
        except ModelServeError as error:
            failed = messages.ModelInferResponse(id=asked.id)
            return messages.ModelStreamInferResponse(error_message=error.message, infer_response=failed)
        answer.parameters["triton_final_response"].bool_param = True
        return messages.ModelStreamInferResponse(infer_response=answer)
