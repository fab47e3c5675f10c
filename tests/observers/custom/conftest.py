"""A web server with answers to choose, and a Prometheus as its API is documented."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from modelserve.domain.guardrails import Guardrail
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.observers.custom.http_json import HttpSource
from modelserve.observers.custom.observer import CustomObserver
from modelserve.observers.custom.prometheus import PrometheusSource
from modelserve.observers.custom.python import PythonSource

Answer = tuple[int, bytes]


@dataclass
class Site:
    """A web server on loopback; ``answers`` by path, ``queries`` by PromQL, also as functions that are called
    in the thread of each question."""

    answers: dict[str, Any] = field(default_factory=dict)
    queries: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    """While it is not set, nobody is answered."""
    url: str = ""

    def answer(self, target: str) -> Answer:
        self.asked.append(target)
        self.open.wait(30)
        parts = urlsplit(target)
        if parts.path == "/api/v1/query":
            return self._query(parse_qs(parts.query)["query"][0])
        told = self.answers.get(parts.path, (404, b"{}"))
        return told if isinstance(told, tuple) else (200, json.dumps(told).encode())

    def _query(self, query: str) -> Answer:
        """As on https://prometheus.io/docs/prometheus/latest/querying/api/."""
        told = self.queries.get(query, [])
        told = told() if callable(told) else told
        if isinstance(told, tuple):
            return told
        series = told if isinstance(told, list) else [told]
        result = [{"metric": {}, "value": [1435781451.781, str(value)]} for value in series]
        data = {"resultType": "vector", "result": result}
        return 200, json.dumps({"status": "success", "data": data}).encode()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    made.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = made.answer(self.path)
            self.send_response(status)
            if status == 302:
                self.send_header("location", body.decode())
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.open.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources are looked at again without a pause."""
    for source in (HttpSource, PrometheusSource, PythonSource):
        monkeypatch.setattr(source, "interval", 0.0)


class Watch:
    """A rollout's looks at its custom guardrails, one after the other."""

    def __init__(self, observer: CustomObserver, rails: tuple[Guardrail, ...], shadowing: bool) -> None:
        self.observer, self.cursor = observer, {}
        self.subject = Subject("ner", "ner-00001", "ner-00002", (), shadowing, rails)
        self.cursor: Cursor = {}

    async def look(self) -> Sighting:
        sighting, following = await self.observer.read(self.subject, self.cursor)
        self.cursor = json.loads(json.dumps(following))
        return sighting

    async def until(self, condition: Callable[[Sighting], Any], description: str) -> Sighting:
        async with asyncio.timeout(20):
            while True:
                sighting = await self.look()
                if condition(sighting):
                    return sighting
                await asyncio.sleep(0.01)
        pytest.fail(f"waited in vain: {description}")

    async def begun(self) -> None:
        """Wait until it is known where every counter stands."""
        keys = [rail.key for rail in self.subject.guardrails]
        await self.until(
            lambda _: all("stable" in self.cursor.get(key, {}) for key in keys), "positions are known"
        )


@pytest.fixture
async def watch() -> Any:
    """``watch(rail, ...)``: guardrails as a spec file says them, and an observer of them."""
    observers: list[CustomObserver] = []

    def make(
        *rails: dict[str, Any], prometheus: str = "", allow_code: bool = False, shadowing: bool = False
    ) -> Watch:
        observers.append(CustomObserver(prometheus, allow_code=allow_code))
        told = tuple(Guardrail.model_validate({"metric": "custom", **rail}) for rail in rails)
        return Watch(observers[-1], told, shadowing)

    yield make
    for observer in observers:
        await observer.__aexit__()
