"""gRPC as clients speak it: Triton's own client, and its messages where a client would not send such a thing.

The messages of the server live in a pool of their own, so both fit into one process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.grpc import service_pb2, service_pb2_grpc

from modelserve.domain.inference import DataType
from modelserve.serving.grpc.server import GrpcEdge

_ONNX = {
    DataType.BOOL: TensorProto.BOOL,
    DataType.UINT8: TensorProto.UINT8,
    DataType.UINT16: TensorProto.UINT16,
    DataType.UINT32: TensorProto.UINT32,
    DataType.UINT64: TensorProto.UINT64,
    DataType.INT8: TensorProto.INT8,
    DataType.INT16: TensorProto.INT16,
    DataType.INT32: TensorProto.INT32,
    DataType.INT64: TensorProto.INT64,
    DataType.FP16: TensorProto.FLOAT16,
    DataType.FP32: TensorProto.FLOAT,
    DataType.FP64: TensorProto.DOUBLE,
    DataType.BYTES: TensorProto.STRING,
}


@pytest.fixture(scope="session")
def echo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives back a pair of each element type: input ``INT8`` becomes output ``same-INT8``."""
    given = [helper.make_tensor_value_info(name, kind, [2]) for name, kind in _ONNX.items()]
    back = [helper.make_tensor_value_info(f"same-{name}", kind, [2]) for name, kind in _ONNX.items()]
    nodes = [helper.make_node("Identity", [name], [f"same-{name}"]) for name in _ONNX]
    graph = helper.make_graph(nodes, "echo", given, back)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path_factory.mktemp("onnx") / "echo.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def door(start_shared: Any, onnx_models: Any) -> str:
    """Address of a real server process whose model gives 2x."""
    server = start_shared(onnx_models["double"], grpc_port=0)
    server.ready()
    return f"127.0.0.1:{server.told['grpc_port']}"


@dataclass
class Line:
    """A connection to a server in this process."""

    channel: grpc.aio.Channel
    stub: Any
    """Every method, called with Triton's messages."""

    def infer(self, *rows: list[float], timeout: float | None = 30, **metadata: str) -> Any:
        told = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        return self.stub.ModelInfer(request(*rows), timeout=timeout, metadata=told)


def request(*rows: list[float], model: str = "m", **fields: Any) -> Any:
    """An infer request of rows for ``x``."""
    tensor = triton.InferInput("x", [len(rows), len(rows[0])], "FP32")
    tensor.set_data_from_numpy(np.array(rows, np.float32))
    return service_pb2.ModelInferRequest(
        model_name=model, inputs=[tensor._get_tensor()], raw_input_contents=[tensor._get_content()], **fields
    )


@pytest.fixture
def call_in() -> Callable[..., Any]:
    """``async with call_in(server) as line``: the server of this process, over gRPC."""

    @asynccontextmanager
    async def make(server: Any) -> AsyncIterator[Line]:
        edge = GrpcEdge(server.settings, server.plane, server.instruments)
        port = await edge.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Line(channel, service_pb2_grpc.GRPCInferenceServiceStub(channel))
        server.model.gate.set()
        await edge.stop()

    return make


@pytest.fixture(scope="session")
def infer_request() -> Callable[..., Any]:
    return request
