"""Once a proxy has passed the first piece of an answer on, it can't ask another server for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

DATA, HEADERS, END_STREAM = 0, 1, 1


class Relay:
    """Passes bytes between a client and the server on, and keeps what each read from the server held."""

    def __init__(self, port: int) -> None:
        self._server = port
        self.pieces: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass(reader, to_server, []))
            group.create_task(self._pass(from_server, writer, self.pieces))

    @staticmethod
    async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seen: list[bytes]) -> None:
        while piece := await source.read(1 << 20):
            seen.append(piece)
            sink.write(piece)
        sink.close()


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[tuple[Relay, int]]:
    relay = Relay(port)
    async with await asyncio.start_server(relay.serve, "127.0.0.1", 0) as listener:
        yield relay, listener.sockets[0].getsockname()[1]


def frames(piece: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, flags and stream of each HTTP/2 frame (RFC 9113, section 4.1)."""
    while piece:
        length = int.from_bytes(piece[:3])
        yield piece[3], piece[4], int.from_bytes(piece[5:9])
        piece = piece[9 + length :]


def begun(piece: bytes) -> set[int]:
    return {stream for kind, _, stream in frames(piece) if kind in (HEADERS, DATA)}


def ended(piece: bytes) -> set[int]:
    return {stream for kind, flags, stream in frames(piece) if kind == HEADERS and flags & END_STREAM}


async def test_leaves_the_server(door: str) -> None:
    async with relay_to(int(door.rpartition(":")[2])) as (relay, port):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            request = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[bytes(8)])
            request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
            for _ in range(50):
                await stub.ModelInfer(request, timeout=30)
        answers = [piece for piece in relay.pieces if begun(piece)]
        assert len(answers) == 50
        assert all(begun(piece) == ended(piece) for piece in answers)
