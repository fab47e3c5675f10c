"""The gRPC port in the life of a server process: announce, serve, drain, stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2_grpc


def address(server: Any) -> str:
    server.ready()
    return f"127.0.0.1:{server.told['grpc_port']}"


class Client(threading.Thread):
    """Sends calls over one connection until the server is gone; counts what came back."""

    def __init__(self, address: str, request: Any, counts: Counter[str]) -> None:
        super().__init__()
        self._address, self._request, self._counts = address, request, counts
        self.errors: list[str] = []

    def run(self) -> None:
        with grpc.insecure_channel(self._address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            while True:
                try:
                    stub.ModelInfer(self._request, timeout=30)
                except grpc.RpcError as error:
                    if "Connection refused" not in error.details():  # else this call was never sent
                        self.errors.append(f"{error.code()}: {error.details()}")
                    return
                self._counts["answered"] += 1


def test_no_call_is_lost_when_it_is_stopped_under_load(
    start: Any, onnx_models: Any, infer_request: Any
) -> None:
    server = start(onnx_models["slow"], threads=1, grpc_port=0)
    place = address(server)
    counts: Counter[str] = Counter()
    clients = [Client(place, infer_request([1.0, 2.0]), counts) for _ in range(6)]
    for client in clients:
        client.start()
    server.until(lambda: counts["answered"] >= 20, "the load runs")
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: server.get("/v2/health/ready") != 200, "it is no longer ready")
    answered = counts["answered"]
    for client in clients:
        client.join(30)
    assert server.process.wait(30) == 0
    assert [error for client in clients for error in client.errors] == []
    assert counts["answered"] > answered, "it answered on while it drained"


def test_a_call_that_overruns_the_drain_is_told_so(start: Any, onnx_models: Any, infer_request: Any) -> None:
    server = start(
        onnx_models["slow"], drain=1, max_batch=1, max_items=100_000, threads=1, timeout=600, grpc_port=0
    )
    with grpc.insecure_channel(address(server)) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelInfer.future(infer_request(*[[1.0, 2.0]] * 20_000))
        url = server.url()
        running = "modelserve_inference_seconds_count"
        server.until(lambda: _metric(url, running) > 0, "the call runs")
        server.process.send_signal(signal.SIGTERM)
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert dict(call.trailing_metadata())["x-modelserve-code"] == "unavailable"
    assert server.process.wait(30) == 0


def _metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_a_second_signal_hurries(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"], drain=60, grpc_port=0)
    address(server)
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(10) == 0


def test_without_the_setting_there_is_no_port(start: Any, onnx_models: Any) -> None:
    server = start(onnx_models["double"])
    server.ready()
    assert "grpc_port" not in server.told


def test_a_taken_port_is_told_and_ends_with_code_1(start: Any, onnx_models: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start(onnx_models["double"], grpc_port=port)
        assert server.process.wait(30) == 1
    (event,) = server.events()
    assert event["event"] == "bind_failed"
    assert str(port) in event["message"]


@pytest.mark.parametrize("library", ["grpc", "google.protobuf"])
def test_without_the_extra_the_port_is_refused_with_what_to_install(
    tmp_path: Path, onnx_models: Any, library: str
) -> None:
    path = tmp_path / "settings.json"
    told = {"service": "m", "revision": "m-00001", "package": str(onnx_models["double"]), "grpc_port": 0}
    path.write_text(json.dumps(told))
    program = (
        f"import sys; sys.modules[{library!r}] = None; from modelserve.serving.main import main;"
        f" sys.exit(main(['--settings', {str(path)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "pip install 'modelserve[grpc]'" in done.stderr
    assert "Traceback" not in done.stderr
