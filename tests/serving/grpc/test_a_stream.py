"""Many requests on one stream, and the stream's end."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

WAIT = -3.0


async def test_answers_whichever_is_ready_first(serve: Any, call_in: Any, infer_request: Any) -> None:
    async with serve(threads=2, max_batch=1) as server, call_in(server) as line:
        call = line.stub.ModelStreamInfer()
        await call.write(infer_request([WAIT, 1], id="slow"))
        await server.seen(server.model.entered.is_set)
        await call.write(infer_request([0, 1], id="quick"))
        assert (await call.read()).infer_response.id == "quick"
        server.model.gate.set()
        assert (await call.read()).infer_response.id == "slow"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_names_the_request_that_failed_and_goes_on(
    serve: Any, call_in: Any, infer_request: Any
) -> None:
    async with serve() as server, call_in(server) as line:
        call = line.stub.ModelStreamInfer()
        await call.write(infer_request([0, 1], id="bad", model="other"))
        failed = await call.read()
        assert failed.error_message == 'model: got "other"; this server answers for "m"'
        assert failed.infer_response.id == "bad"
        await call.write(infer_request([0, 1], id="good"))
        assert (await call.read()).infer_response.id == "good"
        await call.done_writing()
        assert server.figures()["client_errors"] == 1


async def test_that_its_client_leaves_drops_what_still_waits(
    serve: Any, call_in: Any, infer_request: Any
) -> None:
    async with serve(max_batch=1) as server, call_in(server) as line:
        call = line.stub.ModelStreamInfer()
        await call.write(infer_request([WAIT, 1]))
        await call.write(infer_request([0, 41]))
        await server.seen(lambda: server.telemetry.own.waiting() == 1)
        call.cancel()
        await server.seen(lambda: server.figures()["abandoned"] == 2)
        server.model.gate.set()
        assert server.telemetry.own.waiting() == 0
        assert [event for event in server.events() if event["level"] == "error"] == []


async def test_reads_no_more_than_it_can_answer(serve: Any, call_in: Any, infer_request: Any) -> None:
    async with serve(max_batch=1, max_waiting=1000) as server, call_in(server) as line:
        call = line.stub.ModelStreamInfer()
        for number in range(100):
            await call.write(infer_request([WAIT, number]))
        await server.seen(lambda: server.telemetry.own.waiting() == 63)
        server.model.gate.set()
        for _ in range(100):
            assert not (await call.read()).error_message
        await call.done_writing()


async def test_of_a_server_that_stops_gets_its_answers_and_is_told_to_open_another(
    serve: Any, infer_request: Any
) -> None:
    from tritonclient.grpc import service_pb2_grpc

    from modelserve.serving.grpc.server import GrpcEdge

    async with serve() as server:
        edge = GrpcEdge(server.settings, server.plane, server.instruments)
        port = await edge.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
            await call.write(infer_request([WAIT, 1], id="under way"))
            await server.seen(server.model.entered.is_set)
            edge.drain(30, asyncio.Event())
            server.model.gate.set()
            assert (await call.read()).infer_response.id == "under way"
            with pytest.raises(grpc.aio.AioRpcError, match="open the stream again"):
                await call.read()
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
            assert dict(await call.trailing_metadata())["x-modelserve-code"] == "unavailable"
        await edge.stop()
