"""gRPC clients at the front door of a whole platform: real Envoy, real servers, Triton's client."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "grpc.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
SERVICE = {"x-modelserve-service": "resnet-digits"}


@pytest.fixture(scope="module")
def door(new_platform: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    running = new_platform(tmp_path_factory.mktemp("grpc") / "home")
    running.up()
    running.apply("resnet-digits", models / "resnet-digits-1")
    running.wait_for_ready("resnet-digits", "resnet-digits-00001")
    yield running
    running.cli("down")


@pytest.fixture
def client(door: Any) -> Any:
    with triton.InferenceServerClient(f"127.0.0.1:{door.port}") as client:
        yield client


def pixels(rows: int = 1) -> list[triton.InferInput]:
    tensor = triton.InferInput("pixel_values", [rows, 3, 32, 32], "FP32")
    tensor.set_data_from_numpy(np.full((rows, 3, 32, 32), 0.5, np.float32))
    return [tensor]


def test_are_answered(client: Any) -> None:
    assert client.is_server_ready(headers=SERVICE)
    assert client.get_model_metadata("resnet-digits", headers=SERVICE, as_json=True)["versions"] == [
        "resnet-digits-00001"
    ]
    result = client.infer("resnet-digits", pixels(3), headers=SERVICE)
    assert result.as_numpy("logits").shape == (3, 10)


def test_get_their_streams(client: Any) -> None:

    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=SERVICE)
    for number in range(10):
        client.async_stream_infer("resnet-digits", pixels(), request_id=str(number))
    found = [answers.get(timeout=30) for _ in range(10)]
    client.stop_stream()
    assert {result.get_response().id for result, _ in found} == {str(number) for number in range(10)}


def test_ask_a_revision_by_name(client: Any) -> None:
    named = {**SERVICE, "x-modelserve-revision": "resnet-digits-00001"}
    assert (
        client.infer("resnet-digits", pixels(), headers=named).get_response().model_version
        == "resnet-digits-00001"
    )
    with pytest.raises(
        InferenceServerException, match="names no revision of service 'resnet-digits'"
    ) as told:
        client.infer(
            "resnet-digits", pixels(), headers={**SERVICE, "x-modelserve-revision": "resnet-digits-00009"}
        )
    assert told.value.status() == "StatusCode.NOT_FOUND"


@pytest.mark.parametrize("metadata", [{}, {"x-modelserve-service": "other"}])
def test_that_name_no_service_are_told_how(client: Any, metadata: dict[str, str]) -> None:
    with pytest.raises(InferenceServerException, match="metadata x-modelserve-service must name") as told:
        client.infer("resnet-digits", pixels(), headers=metadata)
    assert told.value.status() == "StatusCode.NOT_FOUND"


def test_see_the_models_own_errors(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="the model gives") as told:
        client.infer(
            "resnet-digits", pixels(), outputs=[triton.InferRequestedOutput("poetry")], headers=SERVICE
        )
    assert told.value.status() == "StatusCode.INVALID_ARGUMENT"


@pytest.mark.parametrize("example", EXAMPLES, ids=["call", "stream", "error"])
def test_can_do_as_the_page_says(door: Any, example: str) -> None:
    program = example.replace("127.0.0.1:8080", f"127.0.0.1:{door.port}")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
