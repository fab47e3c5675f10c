"""Samples and targets."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import orjson
import pytest

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.loadtest.payloads import generated, payload, sample, samples
from modelserve.loadtest.targets import of_service, of_url

PNG = b"\x89PNG\r\n\x1a\nrest"
ROWS = {"a": np.array([[1, 2], [3, 4]]), "b": np.array(["x", b"y"], object)}


def test_each_line_is_a_sample() -> None:
    row = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}
    lines = [
        json.dumps({"text": "hello", "label": "ignored"}),
        "",
        json.dumps({"image": base64.b64encode(PNG).decode()}),
        json.dumps({"inputs": [row]}),
    ]
    text, image, tensors = samples("\n".join(lines), "rows.jsonl")
    assert (text, image) == ("hello", PNG)
    assert isinstance(tensors, dict)
    assert tensors["x"].tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"text": 3}', '{"image": "?"}', '{"inputs": [{}]}', '{"inputs": 1}']
)
def test_a_line_that_is_none_is_told_with_its_number(line: str) -> None:
    with pytest.raises(InvalidInput, match=r"rows\.jsonl, line 2: "):
        samples('{"text": "a"}\n' + line, "rows.jsonl")


def test_a_file_without_samples_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no samples"):
        samples("\n", "rows.jsonl")


def test_a_text_and_an_image_go_to_the_task_route_and_to_v1() -> None:
    assert orjson.loads(payload("hello", "task").body) == {"text": "hello"}
    assert payload(PNG, "task").headers == {"content-type": "image/png"}
    assert orjson.loads(payload("hello", "v1").body) == {"instances": ["hello"]}
    assert (
        sample(orjson.dumps({"image": orjson.loads(payload(PNG, "v1").body)["instances"][0]["b64"]})) == PNG
    )


def test_tensors_go_row_by_row_to_v1() -> None:
    assert orjson.loads(payload(ROWS, "v1").body)["instances"] == [
        {"a": [1, 2], "b": "x"},
        {"a": [3, 4], "b": "y"},
    ]
    assert orjson.loads(payload({"a": ROWS["a"]}, "v1").body) == {"instances": [[1, 2], [3, 4]]}


def test_tensors_go_to_v2_as_json_or_binary() -> None:
    assert orjson.loads(payload(ROWS, "oip").body)["inputs"][0]["data"] == [1, 2, 3, 4]
    assert payload(ROWS, "binary").body.endswith(b"\x01\x00\x00\x00x\x01\x00\x00\x00y")


@pytest.mark.parametrize(("what", "protocol"), [("text", "oip"), (PNG, "binary"), (ROWS, "task")])
def test_what_a_protocol_cannot_carry_is_refused(what: Any, protocol: Any) -> None:
    with pytest.raises(InvalidInput, match=f"protocol: {protocol}"):
        payload(what, protocol)


@pytest.mark.parametrize("datatype", list(DataType))
def test_made_up_tensors_are_of_the_models_type_and_shape(datatype: DataType) -> None:
    made = generated([TensorSpec("x", datatype, (-1, 3, -1))], seed=1)["x"]
    assert (made.dtype, made.shape) == (datatype.numpy, (1, 3, 16))
    assert payload({"x": made}, "oip").body


@pytest.mark.parametrize(
    ("url", "told", "protocol", "model", "door"),
    [
        ("http://h:1/predict/a%20b", None, "task", "a b", "http://h:1"),
        ("https://h/v2/models/m/infer", None, "oip", "m", "https://h"),
        ("http://h/x/v2/models/m/versions/m-1/infer", "binary", "binary", "m", "http://h/x"),
        ("http://h/v1/models/m:predict", "v1", "v1", "m", "http://h"),
    ],
)
def test_a_url_tells_protocol_and_model(url: str, told: Any, protocol: str, model: str, door: str) -> None:
    target = of_url(url, told)
    assert (target.protocol, target.model, target.door, target.url) == (protocol, model, door, url)


@pytest.mark.parametrize(
    ("url", "protocol", "told"),
    [
        ("http://h/", None, "the path /"),
        ("http://h/predict/m", "oip", "speaks task"),
        ("ftp://h/predict/m", None, "url"),
        ("http://:80/predict/m", None, "url"),
        ("http://h:x/predict/m", None, "url"),
    ],
)
def test_a_url_that_names_no_route_is_refused(url: str, protocol: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        of_url(url, protocol)


def test_a_service_is_asked_at_its_route() -> None:
    target = of_service("http://[::1]:8080/prefix/", "a/b", "oip")
    assert target.url == "http://[::1]:8080/prefix/v2/models/a%2Fb/infer"
    assert target.address == ("::1", 8080)
    assert of_service("https://h", "m", "task").address == ("h", 443)
