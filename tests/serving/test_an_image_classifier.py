"""An image classifier ..."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image, PngImagePlugin

PATH = "/predict/m"


def folder(path: Path, logits: list[float], **config: Any) -> Path:
    """A Hugging Face folder whose model gives these logits for every image, 8 x 8, behind another output."""
    arrays = {"nil": np.array(0, np.float32), "L": np.array([logits], np.float32), "P": np.ones((1, 9), "f")}
    weights = {"one": np.array([1]), **arrays}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixel_values"], ["m"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["m", "one"], ["mm"]),
            helper.make_node("Mul", ["mm", "nil"], ["z"]),
            helper.make_node("Add", ["z", "P"], ["pooler_output"]),
            helper.make_node("Add", ["z", "L"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [
            helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["batch", 9]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(logits)]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    path.mkdir()
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        path / "model.onnx",
    )
    whole = {"architectures": ["ViTForImageClassification"], **config}
    (path / "config.json").write_text(json.dumps(whole))
    told = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}
    (path / "preprocessor_config.json").write_text(json.dumps(told))
    return path


def png(**options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(buffer, "PNG", **options)
    return buffer.getvalue()


def workflow() -> bytes:
    """With 2 MB of text, as renderers write it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "a" * 2_000_000, zip=True)
    return png(pnginfo=text)


def broken_exif() -> bytes:
    content, data = png(), b"eXIfno TIFF"
    place = content.index(b"IDAT") - 4
    return (
        content[:place]
        + struct.pack(">I", len(data) - 4)
        + data
        + struct.pack(">I", zlib.crc32(data))
        + content[place:]
    )


@pytest.fixture(scope="module")
def url(start_shared: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    labels = {"0": "cat", "1": "dog", "2": "car"}
    several = {"problem_type": "multi_label_classification", "id2label": labels}
    package = folder(tmp_path_factory.mktemp("images") / "multi", [5, 5, -5], **several)
    return str(start_shared(package).ready())


def scores(answer: httpx.Response) -> dict[str, float]:
    assert answer.status_code == 200, answer.text
    return {label["label"]: round(label["score"], 3) for label in answer.json()["labels"]}


MULTI = {"cat": 0.993, "dog": 0.993, "car": 0.007}


@pytest.mark.parametrize("content", [png(), workflow(), broken_exif()], ids=["plain", "text", "exif"])
def test_of_several_labels_gives_the_probability_of_each(url: str, content: bytes) -> None:
    body = {"image": {"b64": base64.b64encode(content).decode()}}
    assert scores(httpx.post(url + PATH, json=body)) == MULTI
    assert scores(httpx.post(url + PATH, content=content, headers={"content-type": "image/png"})) == MULTI


@pytest.mark.parametrize("kind", ["image/jpg", "image/pjpeg", "image/x-png", "image/*", "image/webp"])
def test_takes_any_content_type_of_images(url: str, kind: str) -> None:
    assert scores(httpx.post(url + PATH, content=png(), headers={"content-type": kind})) == MULTI
    assert scores(httpx.post(url + PATH, files={"file": ("a.png", png(), kind)})) == MULTI


@pytest.mark.parametrize("told", [{}, {"content-type": "application/x-www-form-urlencoded"}])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_knows_an_image_without_a_content_type(url: str, format: str, told: dict[str, str]) -> None:
    """As `curl --data-binary @a.png` sends it."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(buffer, format)
    assert scores(httpx.post(url + PATH, content=buffer.getvalue(), headers=told)) == MULTI
    refused = httpx.post(url + PATH, content=buffer.getvalue()[4:], headers=told)
    assert (refused.status_code, "content-type" in refused.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("logits", "config", "expected"),
    [
        ([1, 3], {}, {"LABEL_1": 0.881, "LABEL_0": 0.119}),
        ([2], {"id2label": {"0": "cat"}}, {"cat": 0.881}),
        ([-41.5], {"problem_type": "regression", "id2label": {"0": "age"}}, {"age": -41.5}),
    ],
)
def test_gives_scores_as_its_configuration_says(
    start: Any, tmp_path: Path, logits: list[float], config: dict[str, Any], expected: dict[str, float]
) -> None:
    server = start(folder(tmp_path / "model", logits, **config)).ready()
    answer = httpx.post(f"{server}{PATH}", content=png(), headers={"content-type": "image/png"})
    assert scores(answer) == expected
