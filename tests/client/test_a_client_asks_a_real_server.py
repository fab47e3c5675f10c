"""Both clients against model server processes."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelserve import Client
from modelserve.client.retries import Retries
from modelserve.domain.inference import DataType, Entity, Label, TensorSpec
from modelserve.errors import InvalidInput, UnknownModel, UnknownRevision


def test_tensors_go_in_and_come_out(connect: Any, double: str, rows: Any) -> None:
    result = connect(double).infer("m", rows, request_id="mine")
    np.testing.assert_array_equal(result["y"], rows["x"] * 2)
    assert result["y"].dtype == np.float32
    assert (result.model, result.revision, result.request_id, result.attempts) == ("m", "m-00001", "mine", 1)
    assert 0 < result.latency < 30


@pytest.mark.parametrize("binary", [False, True, None])
def test_tensors_come_out_the_same_however_they_travel(
    connect: Any, double: str, rows: Any, binary: bool | None
) -> None:
    result = connect(double, binary=binary).infer("m", rows, outputs=["y"])
    np.testing.assert_array_equal(result.outputs["y"], rows["x"] * 2)


def test_a_text_becomes_entities(connect: Any, ner: str) -> None:
    found = connect(ner).predict("bert-ner", text="Ada Lovelace met Charles Babbage in London")
    assert found.labels == ()
    assert all(isinstance(entity, Entity) for entity in found.entities)
    assert ("Charles Babbage", "PER", 17, 32) in [(e.text, e.label, e.start, e.end) for e in found.entities]
    assert found.revision == "bert-ner-00001"


def test_several_texts_get_several_answers(connect: Any, ner: str) -> None:
    found = connect(ner).predict("bert-ner", texts=["Nothing here.", "She lives in London"])
    assert len(found) == 2
    assert [[part.label for part in answer] for answer in found] == [[], ["LOC"]]


def test_an_image_may_be_a_path_bytes_or_an_array(
    connect: Any, digits: str, models: Path, tmp_path: Path
) -> None:
    row = json.loads((models / "resnet-digits-2" / "reference.jsonl").read_text().splitlines()[0])
    content = base64.b64decode(row["image"])
    path = tmp_path / "digit.png"
    path.write_bytes(content)
    client = connect(digits)
    answers = [client.predict("digits", image=image).labels for image in (path, str(path), content)]
    assert all(answer == answers[0] for answer in answers)
    assert isinstance(answers[0][0], Label)
    assert answers[0][0].label == row["label"]
    together = client.predict("digits", images=[path, np.zeros((8, 8), np.uint8)])
    assert together.results[0][0].label == row["label"]


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_an_array_becomes_a_png_that_the_server_reads(
    connect: Any, digits: str, channels: tuple[int, ...]
) -> None:
    pixels = np.arange(8 * 8 * (channels or (1,))[0], dtype=np.uint8).reshape(8, 8, *channels)
    assert connect(digits).predict("digits", image=pixels).labels


def test_metadata_tells_servers_and_models(connect: Any, double: str) -> None:
    client = connect(double)
    assert client.metadata().name == "modelserve"
    model = client.metadata("m")
    assert (model.name, model.versions) == ("m", ("m-00001",))
    assert model.inputs == (TensorSpec("x", DataType.FP32, (-1, 2)),)


def test_readiness_is_yes_no_or_unknown_model(connect: Any, double: str) -> None:
    client = connect(double)
    assert client.live()
    assert client.ready()
    assert client.ready("m")
    with pytest.raises(UnknownModel, match="nobody"):
        client.ready("nobody")


def test_a_refusal_is_the_servers_error_with_its_words(connect: Any, double: str) -> None:
    with pytest.raises(InvalidInput, match=r"inputs\[0\]") as refused:
        connect(double).infer("m", {"x": np.zeros((1, 3), np.float32)}, request_id="mine")
    assert (refused.value.status, refused.value.code, refused.value.retryable) == (
        400,
        "invalid_input",
        False,
    )
    assert (refused.value.request_id, refused.value.revision) == ("mine", "m-00001")


def test_another_revision_than_the_one_asked_is_an_error(connect: Any, double: str, rows: Any) -> None:
    """A model server by itself does not look at the header; the front door does."""
    client = connect(double)
    assert client.infer("m", rows, revision="m-00001").revision == "m-00001"
    with pytest.raises(UnknownRevision, match="m-00002"):
        client.infer("m", rows, revision="m-00002")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({}, "exactly one"),
        ({"text": "a", "texts": ["b"]}, "exactly one"),
        ({"texts": "abc"}, "one string"),
        ({"text": "\ud800"}, "surrogate"),
        ({"text": 3}, "int"),
        ({"image": "/nowhere.png"}, "nowhere"),
        ({"image": np.zeros((2, 2))}, "float64"),
    ],
)
def test_what_makes_no_question_is_refused_before_it_is_sent(connect: Any, question: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        connect("http://127.0.0.1:9").predict("m", **question)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://host", "http://", "http://host:port"])
def test_a_url_that_is_none_is_refused_at_once(connect: Any, url: str) -> None:
    with pytest.raises(InvalidInput, match="url"):
        connect(url)


def test_threads_share_a_client(double: str) -> None:
    """More of them than connections: each gets its own answers, and none is kept waiting for ever."""

    def ask(number: int) -> bool:
        given = np.full((1, 2), number, np.float32)
        answers = [client.infer("m", {"x": given}, timeout=10)["y"] for _ in range(100)]
        return all((answer == given * 2).all() for answer in answers)

    with (
        Client(double, connections=4, retries=Retries(attempts=1)) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        assert all(threads.map(ask, range(8)))
