"""Several server processes with one Redis: what one answered, another gives again; without it, all go on.

A hit is never promised: Redis has a tenth of a second, and a busy machine may take it. So tests ask new
questions until one is a hit, and see that every answer is right meanwhile.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from typing import Any

import httpx
import pytest

INFER = "/v2/models/m/infer"


def body(value: float) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [value, 2]}]}


def ask(url: str, value: float) -> tuple[str, float]:
    answer = httpx.post(f"{url}{INFER}", json=body(value), timeout=30)
    return answer.headers["x-modelserve-cache"], answer.json()["outputs"][0]["data"][0]


@pytest.mark.parametrize("first", [0, 1])
def test_what_one_replica_answered_another_gives_again(
    start: Any, onnx_models: Any, redis_server: Any, first: int
) -> None:
    servers = [start(onnx_models["double"], cache_ttl=60, cache_url=redis_server.url) for _ in range(2)]
    urls = [server.ready() for server in servers]
    new = itertools.count(1.5)

    def given_again() -> bool:
        value = next(new)
        assert ask(urls[first], value) == ("miss", 2 * value)
        outcome, answer = ask(urls[1 - first], value)
        assert answer == 2 * value
        return outcome == "hit"

    servers[0].until(given_again, "another replica gives it again")


def test_another_revision_or_model_never_gives_it(start: Any, onnx_models: Any, redis_server: Any) -> None:
    told = {"cache_ttl": 60, "cache_url": redis_server.url}
    servers = [
        start(onnx_models["double"], **told),
        start(onnx_models["double"], revision="m-00002", **told),
        start(onnx_models["slow"], **told),
    ]
    for server in servers:
        url = server.ready()
        assert ask(url, 1.5)[0] == "miss"
        server.until(lambda url=url: ask(url, 1.5)[0] == "hit", "it gives its own again")


class Client(threading.Thread):
    """Asks the same twenty questions over and over; an answer is right or an error."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._url, self._stop_asking = url, threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            number = 0
            while not self._stop_asking.is_set():
                number += 1
                answer = client.post(f"{self._url}{INFER}", json=body(number % 20))
                right = answer.status_code == 200 and answer.json()["outputs"][0]["data"] == [
                    2.0 * (number % 20), 4.0,
                ]  # fmt: skip
                self.counts[answer.headers["x-modelserve-cache"] if right else answer.text] += 1

    def stop(self) -> Counter[str]:
        self._stop_asking.set()
        self.join(30)
        return self.counts


def test_no_client_notices_that_the_store_freezes_dies_and_comes_back(
    start: Any, onnx_models: Any, redis_server: Any
) -> None:
    servers = [start(onnx_models["double"], cache_ttl=60, cache_url=redis_server.url) for _ in range(2)]
    clients = [Client(server.ready()) for server in servers for _ in range(2)]
    for client in clients:
        client.start()

    def more(outcome: str) -> None:
        before = [client.counts[outcome] for client in clients]
        servers[0].until(
            lambda: all(c.counts[outcome] > b + 30 for c, b in zip(clients, before, strict=True)),
            f"everybody sees more of {outcome}",
        )

    more("hit")
    redis_server.freeze()
    more("miss")
    redis_server.thaw()
    more("hit")
    redis_server.kill()
    more("miss")
    redis_server.start()
    more("hit")
    assert set().union(*(client.stop() for client in clients)) == {"hit", "miss"}
