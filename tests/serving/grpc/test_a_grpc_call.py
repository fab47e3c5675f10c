"""A call over gRPC from its first message to its status, and what stays behind of it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

FAIL, NAN, WAIT = -1.0, -2.0, -3.0


async def refused(call: Any) -> tuple[Any, str, dict[str, str]]:
    """Status, details and trailing metadata of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await call
    error = told.value
    return error.code(), error.details() or "", dict(error.trailing_metadata())


async def test_is_answered_in_the_open_protocols_typed_fields_too(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        request = service_pb2.ModelInferRequest(model_name="m", id="7")
        tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
        tensor.contents.fp32_contents.extend([0, 2.5])
        answer = await line.stub.ModelInfer(request)
        assert (answer.id, answer.model_version) == ("7", "m-00001")
        assert answer.raw_output_contents[0] == b"\0\0\0\0\0\0\xa0\x40"


async def test_says_who_answered_in_its_trailing_metadata(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        call = line.infer([0, 1], x_request_id="mine")
        told = dict(await call.trailing_metadata())
        assert told["x-modelserve-revision"] == "m-00001"
        assert told["x-modelserve-service"] == "m"
        assert told["x-request-id"] == "mine"
        await call
        assert dict(await line.infer([0, 1]).trailing_metadata())["x-request-id"]


async def test_that_fails_says_who_failed_and_whether_to_try_again(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        code, details, told = await refused(line.infer([FAIL, 1], x_request_id="mine"))
        assert code is grpc.StatusCode.INTERNAL
        assert "secret" not in details
        assert told["x-modelserve-code"] == "model_failed"
        assert told["x-modelserve-retryable"] == "false"
        assert (told["x-modelserve-revision"], told["x-request-id"]) == ("m-00001", "mine")
        (event,) = [event for event in server.events() if event["event"] == "request_failed"]
        assert (event["protocol"], event["request_id"]) == ("grpc", "mine")
        assert "RuntimeError" in event["traceback"], "people who operate the server see what happened"
        assert "Error: secret path" not in str(event), "its words may repeat the input"


async def test_is_refused_while_the_queue_is_full_and_told_when_to_come_back(
    serve: Any, call_in: Any
) -> None:
    async with serve(max_waiting=1, max_batch=1) as server, call_in(server) as line:
        first = line.infer([WAIT, 1])
        running = asyncio.ensure_future(_done(first))
        await server.seen(server.model.entered.is_set)
        waiting = asyncio.ensure_future(_done(line.infer([0, 1])))
        await server.seen(lambda: server.telemetry.own.waiting() == 1)
        code, _, told = await refused(line.infer([0, 1]))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (told["x-modelserve-code"], told["x-modelserve-retryable"]) == ("overloaded", "true")
        assert int(told["grpc-retry-pushback-ms"]) > 0
        server.model.gate.set()
        await asyncio.gather(running, waiting)


async def _done(call: Any) -> Any:
    return await call


async def test_is_refused_until_the_model_is_loaded(serve: Any, call_in: Any) -> None:
    async with serve(ready=False) as server, call_in(server) as line:
        code, _, told = await refused(line.infer([0, 1]))
        assert (code, told["x-modelserve-code"]) == (grpc.StatusCode.UNAVAILABLE, "not_ready")
        assert not (await line.stub.ServerReady(service_pb2.ServerReadyRequest())).ready
        assert not (await line.stub.ModelReady(service_pb2.ModelReadyRequest(name="m"))).ready
        index = await line.stub.RepositoryIndex(service_pb2.RepositoryIndexRequest())
        assert index.models[0].state == "UNAVAILABLE"
        ready = await line.stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True))
        assert list(ready.models) == []


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        (b"\xff\xff\xff", "message: not a inference.ModelInferRequest"),
        (b"\x1a\x02\xff\xfe", "message"),  # an id that is no UTF-8
        (b"", 'model: got ""'),
    ],
)
async def test_with_bytes_that_are_no_request_is_refused(
    serve: Any, call_in: Any, bad: bytes, where: str
) -> None:
    async with serve() as server, call_in(server) as line:
        call = line.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        code, details, told = await refused(call(bad))
        assert where in details
        wanted = "unknown_model" if not bad else "invalid_input"
        assert told["x-modelserve-code"] == wanted
        assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


async def test_that_is_large_does_not_wait_for_the_model_of_another(
    serve: Any, call_in: Any, infer_request: Any, monkeypatch: Any
) -> None:
    rows = [[0.0, 1.0]] * 10_000
    async with serve(max_items=10_000) as server, call_in(server) as line:
        find, asked, loaded = server.plane.model, asyncio.Event(), asyncio.Event()

        async def load(name: str, *rest: Any) -> Any:
            if name == "cold":
                asked.set()
                await loaded.wait()
            return await find("m", *rest)

        monkeypatch.setattr(server.plane, "model", load)
        cold = asyncio.ensure_future(_done(line.stub.ModelInfer(infer_request(*rows, model="cold"))))
        await asked.wait()
        assert (await line.infer(*rows)).outputs[0].shape == [10_000, 2]
        assert not cold.done()
        loaded.set()
        assert (await cold).outputs[0].shape == [10_000, 2]


async def test_that_is_larger_than_the_limit_is_refused(serve: Any, call_in: Any) -> None:
    async with serve(max_body=100_000) as server, call_in(server) as line:
        code, _, _ = await refused(line.infer(*[[0.0, 1.0]] * 20_000))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        answer = await line.infer(*[[0.0, 1.0]] * 1_000)
        assert answer.outputs[0].shape == [1000, 2]


async def test_whose_compressed_message_grows_beyond_the_limit_is_refused(serve: Any, call_in: Any) -> None:
    async with serve(max_body=100_000) as server, call_in(server) as line:
        call = line.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        code, _, _ = await refused(call(bytes(10_000_000), compression=grpc.Compression.Gzip))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_that_its_client_cancels_is_dropped_and_counted_as_nobodys_failure(
    serve: Any, call_in: Any
) -> None:
    async with serve(max_batch=1) as server, call_in(server) as line:
        running = asyncio.ensure_future(_done(line.infer([WAIT, 1])))
        await server.seen(server.model.entered.is_set)
        waiting = line.infer([0, 41])
        task = asyncio.ensure_future(_done(waiting))
        await server.seen(lambda: server.telemetry.own.waiting() == 1)
        waiting.cancel()
        await server.seen(lambda: server.figures()["abandoned"] == 1)
        assert server.telemetry.own.waiting() == 0
        server.model.gate.set()
        await running
        await asyncio.gather(task, return_exceptions=True)
        assert 41 not in server.model.seen, "its work was not done"
        assert (server.figures()["requests"], server.figures()["failures"]) == (1, 0)


async def test_that_misses_its_clients_deadline_is_a_failure_of_the_server(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        # The server is ahead by a tenth of the time, which has to be enough for the way back.
        code, details, told = await refused(line.infer([WAIT, 1], timeout=5.0))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "the deadline passed" in details, "the server says so before the client gives up"
        assert told["x-modelserve-code"] == "deadline_exceeded"
        await server.seen(lambda: server.figures()["failures"] == 1)
        assert server.figures()["abandoned"] == 0


async def test_is_bound_by_the_proxys_time_limit_and_the_servers_own(serve: Any, call_in: Any) -> None:
    async with serve(timeout=60) as server, call_in(server) as line:
        code, _, told = await refused(line.infer([WAIT, 1], x_envoy_expected_rq_timeout_ms="200"))
        assert (code, told["x-modelserve-code"]) == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded")
        server.model.gate.set()


async def test_is_counted_by_its_arm_and_kept_if_it_is_sampled(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        marks = {"x_modelserve_sample": "1", "x_modelserve_remember": "1"}
        await line.infer([0, 1], x_modelserve_arm="candidate", x_request_id="a", **marks)
        await refused(
            line.infer([FAIL, 1], x_modelserve_arm="shadow", x_modelserve_sample="1", x_request_id="b")
        )
        assert server.figures("candidate")["requests"] == 1
        assert server.figures("shadow")["failures"] == 1
        page = (await server.client.get("/internal/answers")).json()["answers"]
        assert [(kept["id"], kept["arm"], kept["status"]) for kept in page] == [
            ("a", "candidate", 200),
            ("b", "shadow", 500),
        ]
        assert page[0]["answer"]["outputs"]["y"]["data"] == [0, 2]
        kept = (await server.client.get("/internal/predictions")).json()["predictions"]
        assert [(each["id"], each["arm"]) for each in kept] == [("a", "candidate")]
        metrics = (await server.client.get("/metrics")).text
        assert 'protocol="grpc"' in metrics


async def test_can_carry_what_json_cannot_say(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        answer = await line.infer([NAN, 1], x_modelserve_sample="1")
        assert answer.raw_output_contents[0] == b"\0\0\xc0\x7f" * 2
        page = (await server.client.get("/internal/answers")).json()["answers"]
        assert page[0]["answer"]["outputs"]["y"]["data"] == ["nan", "nan"]


async def test_to_a_method_that_is_not_spoken_is_told_so(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        code, _, _ = await refused(line.stub.ModelConfig(service_pb2.ModelConfigRequest(name="m")))
        assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_for_the_health_check_follows_readiness(serve: Any, call_in: Any) -> None:
    from modelserve.protocol.messages import health_pb2 as health

    async with serve() as server, call_in(server) as line:
        check = line.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )
        for service in ("", "inference.GRPCInferenceService"):
            assert (await check(health.HealthCheckRequest(service=service))).status == 1
        code, _, _ = await refused(check(health.HealthCheckRequest(service="poetry")))
        assert code is grpc.StatusCode.NOT_FOUND
        server.plane.draining = True
        assert (await check(health.HealthCheckRequest())).status == 2


async def test_belongs_to_the_segments_that_its_metadata_name(serve: Any, call_in: Any) -> None:
    async with serve() as server, call_in(server) as line:
        wanted = [{"name": "tenant", "header": "x-tenant"}, {"name": "size", "by": "size"}]
        await server.client.put("/internal/segments", json={"segments": wanted})
        await line.infer([0, 1], x_tenant="acme")
        await refused(line.infer([FAIL, 1], x_tenant="acme"))
        counts = server.telemetry.own.segments
        assert [reading[1:] for reading in counts["tenant", "stable"].read().values()] == [(2, 1)]
        assert [reading[1:] for reading in counts["size", "stable"].read().values()] == [(2, 1)]
