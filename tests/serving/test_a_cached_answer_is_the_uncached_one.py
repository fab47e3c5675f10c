"""Whatever is asked, by whatever protocol: the cache gives what the model gave."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserve.serving.answers import AnswerLog
from modelserve.serving.app import create_app
from modelserve.serving.catalogue import OneModel
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.inference import Instruments
from modelserve.serving.loading import load
from modelserve.serving.logs import EventLog
from modelserve.serving.repository import Repository
from modelserve.serving.starting import Starter
from modelserve.settings import ServerSettings
from modelserve.telemetry import ServerTelemetry


class Twins:
    """Two servers of one bundled model, one with all caches and one without."""

    def __init__(self, package: Path) -> None:
        self._runner = asyncio.Runner()
        self._clients, self._planes = [], []
        for changes in ({}, {"cache_ttl": 600.0, "feature_bytes": 1_000_000}):
            told = {"service": "m", "revision": "m-1", "package": package, "threads": 1, "max_batch": 1}
            self._runner.run(self._start(ServerSettings.model_validate(told | changes)))

    async def _start(self, settings: ServerSettings) -> None:
        telemetry, log = ServerTelemetry("m", "m-1", "e"), EventLog()
        starter = Starter(settings, telemetry, log, load)
        one = OneModel("m", "m-1", settings.package)
        plane = Dataplane(Repository(one, starter, on_demand=False))
        await plane.repository.load("m")
        app = create_app(settings, plane, Instruments(telemetry, AnswerLog(10, "e"), log))
        transport = httpx.ASGITransport(app)
        self._clients.append(httpx.AsyncClient(transport=transport, base_url="http://m"))
        self._planes.append(plane)

    def ask(self, path: str, body: Any) -> None:
        """Ask the plain server once and the caching one three times; all must say the same."""
        self._runner.run(self._ask(path, body))

    async def _ask(self, path: str, body: Any) -> None:
        plain, caching = self._clients
        wanted = await plain.post(path, json=body)
        for _ in range(3):
            answer = await caching.post(path, json=body)
            assert (answer.status_code, answer.content) == (wanted.status_code, wanted.content)
        if wanted.status_code == 200:
            assert answer.headers["x-modelserve-cache"] == "hit"

    def close(self) -> None:
        for plane in self._planes:
            self._runner.run(plane.close())
        self._runner.close()


@pytest.fixture(scope="module")
def texts(models: Path) -> Iterator[Twins]:
    twins = Twins(models / "bert-ner-1")
    yield twins
    twins.close()


@pytest.fixture(scope="module")
def images(models: Path) -> Iterator[Twins]:
    twins = Twins(models / "resnet-digits-1")
    yield twins
    twins.close()


WORDS = st.sampled_from(["Ada", "Lovelace", "London.", "Siemens", "met,", "in", "é", "🙂", "́", "Berlin"])
TEXT = st.lists(WORDS | st.text(max_size=6), max_size=12).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_for_any_texts(texts: Twins, items: list[str]) -> None:
    texts.ask("/predict/m", {"texts": items})
    texts.ask("/v1/models/m:predict", {"instances": items})
    texts.ask("/predict/m", {"text": items[0]})


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), min_size=4, max_size=4), min_size=1, max_size=3))
def test_for_any_tensors(texts: Twins, rows: list[list[int]]) -> None:
    shape, flat = [len(rows), 4], [token for row in rows for token in row]
    ones = [1] * len(flat)
    inputs = [
        {"name": name, "datatype": "INT64", "shape": shape, "data": data}
        for name, data in (("input_ids", flat), ("attention_mask", ones), ("token_type_ids", ones))
    ]
    texts.ask("/v2/models/m/infer", {"inputs": inputs})
    texts.ask("/v2/models/m/infer", {"inputs": inputs[:2]})


def test_for_images(images: Twins, models: Path) -> None:
    rows = (models / "resnet-digits-1" / "reference.jsonl").read_text().splitlines()[:10]
    for row in rows:
        image = json.loads(row)["image"]
        images.ask("/predict/m", {"image": {"b64": image}})
        cut = base64.b64encode(base64.b64decode(image)[:-20]).decode()
        images.ask("/predict/m", {"image": {"b64": cut}})
