"""Servers of one model: one process alone, and one with two HTTP workers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

INFER = "/v2/models/m/infer"
BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2]}]}


class Tree:
    """The processes of a server with workers."""

    def __init__(self, server: Any) -> None:
        self.server, self.parent = server, psutil.Process(server.process.pid)

    def named(self, program: str) -> list[psutil.Process]:
        module = f"modelserve.serving.workers.{program}"
        return [child for child in self.parent.children() if module in _cmdline(child)]

    @property
    def engine(self) -> psutil.Process:
        (engine,) = self.named("engine")
        return engine

    @property
    def workers(self) -> list[psutil.Process]:
        return self.named("worker")


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class Load:
    """Clients that ask until told to stop, each over a connection of its own; counts what they saw."""

    def __init__(self, url: str, clients: int, until_refused: bool = False) -> None:
        self.seen: Counter[str] = Counter()
        self.slowest_refusal = 0.0
        self._url, self._until_refused = url, until_refused
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(INFER, json=BODY)
                except httpx.ConnectError:
                    if self._until_refused:
                        return
                    self.seen["refused"] += 1
                except httpx.TransportError:
                    self.seen["lost"] += 1
                else:
                    self._note(answer)

    def _note(self, answer: httpx.Response) -> None:
        told = answer.json()
        if answer.status_code == 200:
            assert told["outputs"][0]["data"] == [3.0, 4.0]
        else:
            assert told["retryable"]
            assert answer.headers["x-modelserve-revision"] == "m-00001"
        self.seen[str(answer.status_code)] += 1
        self.seen[told.get("code", "ok")] += 1


@pytest.fixture
def with_workers(start: Callable[..., Any], onnx_models: Any) -> Callable[..., Tree]:
    """``with_workers(model, **settings)``: a server with two workers that is ready."""

    def make(model: str = "double", **settings: Any) -> Tree:
        server = start(onnx_models[model], http_workers=2, **settings)
        server.ready()
        return Tree(server)

    return make
