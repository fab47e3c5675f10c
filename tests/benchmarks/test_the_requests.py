from typing import Any

import numpy as np
import pytest

from benchmarks.serving import samples, wires
from benchmarks.serving.programs import rows


def body(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("model", ["tiny", "small-bert", "resnet-18"])
@pytest.mark.parametrize("wire", [wires.JSON, wires.BINARY])
def test_mean_the_same_to_the_programs_as_was_meant(
    model: str, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "WIRE", wire)
    inputs = samples.tensors(model, 2)
    for request, meant in zip(wires.program(wire, inputs, "/infer"), inputs, strict=True):
        read = rows.decoded(body(request))
        assert read.keys() == meant.keys()
        for name, value in meant.items():
            np.testing.assert_array_equal(read[name], value)
            assert read[name].dtype == value.dtype


def test_bring_images_that_become_tensors() -> None:
    (request,) = wires.program(wires.JPEG, samples.images(1), "/infer")
    pixels: Any = rows.from_jpeg(body(request))["pixel_values"]
    assert pixels.shape == (1, 3, 224, 224)
    assert abs(float(pixels.mean())) < 1


def test_say_how_long_they_are() -> None:
    for wire in (wires.JSON, wires.BINARY):
        for request in (
            *wires.modelserve(wire, samples.tensors("tiny", 1)),
            *wires.form(wire, samples.tensors("tiny", 1), "/x"),
        ):
            head, _, rest = request.partition(b"\r\n\r\n")
            assert f"content-length: {len(rest)}".encode() in head.split(b"\r\n")


def test_are_batched_with_padding_and_cut_again() -> None:
    parts = samples.mixed(4)
    joined = rows.joined(parts)
    assert joined["input_ids"].shape == (4, samples.LONGEST)
    assert rows.lengths(parts) == [int(part["attention_mask"].sum()) for part in parts]
