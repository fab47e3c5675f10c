"""gRPC clients ask on while a model server goes away; every call that they sent is answered."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

SERVICE = {"x-modelserve-service": "digits"}


class Load:
    """Closed-loop clients, each with its own channel."""

    def __init__(self, address: str, clients: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self._address, self._stop = address, threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask_on(self) -> None:
        pixels = triton.InferInput("pixel_values", [1, 3, 32, 32], "FP32")
        pixels.set_data_from_numpy(np.zeros((1, 3, 32, 32), np.float32))
        options = [("grpc.use_local_subchannel_pool", 1)]
        with triton.InferenceServerClient(self._address, channel_args=options) as client:
            while not self._stop.is_set():
                try:
                    client.infer("digits", [pixels], headers=SERVICE)
                    self.answers["answered"] += 1
                except Exception as error:
                    self.answers[str(error)] += 1

    def stop(self) -> Counter[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.answers


@pytest.fixture
def load(platform: Any, models: Path) -> Iterator[Load]:
    platform.apply("digits", models / "resnet-digits-1", scaling={"min": 2})
    platform.wait_for_ready("digits", "digits-00001", 2)
    load = Load(f"127.0.0.1:{platform.port}")
    platform.wait_for("the load runs", lambda: load.answers["answered"] > 100)
    yield load
    load.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_model_server_is_sent(platform: Any, load: Load, number: signal.Signals) -> None:
    pid = platform.service("digits")["replicas"][0]["pid"]
    os.kill(pid, number)
    platform.wait_for("the server is gone", lambda: all(p.pid != pid for p in platform.processes()))
    platform.wait_for_ready("digits", "digits-00001", 2)
    before = load.answers["answered"]
    platform.wait_for("the load goes on", lambda: load.answers["answered"] > before + 100)
    answers = load.stop()
    assert set(answers) == {"answered"}
