"""A worker remembers a model until the engine says that another may answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.serving.workers import messages
from modelserve.serving.workers.plane import RemoteModel, RemotePlane

CHANGED = {"do": "changed"}


class Engine:
    """The engine's end of a worker's connection, played by the test."""

    def __init__(self) -> None:
        self.plane = RemotePlane(Path("nowhere"))
        self.questions: list[messages.Head] = []
        transport = Mock()
        transport.writelines.side_effect = lambda parts: reader.feed(b"".join(parts))
        reader = messages.Reader(lambda head, _: self.questions.append(head))
        self.plane.link.connection_made(transport)

    def say(self, *heads: dict[str, Any]) -> None:
        """Messages that arrive in one piece."""
        self.plane.link.data_received(b"".join(part for head in heads for part in messages.written(head)))

    def answer(self, revision: str) -> dict[str, Any]:
        """To the last question: this revision answers."""
        x = (TensorSpec("x", DataType.FP32, (-1, 2)),)
        signature = messages.describe_signature(Signature(x, x))
        served = {"name": "m", "revision": revision, "task": "tensor", "signature": signature}
        return {"id": self.questions[-1]["id"], "served": served}


@pytest.fixture
async def engine() -> Engine:
    return Engine()


async def asked(engine: Engine, *said: str | dict[str, Any]) -> RemoteModel:
    """The model that a call gets while the engine says this; a text is the revision that answers."""
    call = asyncio.create_task(engine.plane.model("m", None))
    await asyncio.sleep(0)
    engine.say(*(engine.answer(each) if isinstance(each, str) else each for each in said))
    return await call


def revision(model: RemoteModel) -> str:
    return dict(model.identity.metadata)["x-modelserve-revision"]


async def test_it_is_asked_for_once_while_nothing_changes(engine: Engine) -> None:
    model = await asked(engine, "m-00001")
    assert await engine.plane.model("m", None) is model
    assert len(engine.questions) == 1


async def test_after_the_change(engine: Engine) -> None:
    await asked(engine, "m-00001")
    engine.say(CHANGED)
    assert engine.plane.find("m", None) is None
    assert revision(await asked(engine, "m-00002")) == "m-00002"


async def test_if_the_change_comes_together_with_the_answer(engine: Engine) -> None:
    await asked(engine, "m-00001", CHANGED)
    assert engine.plane.find("m", None) is None
    assert revision(await asked(engine, "m-00002")) == "m-00002"
