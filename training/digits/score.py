"""Runs an image package and scores it: accuracy. Needs no torch."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from training.packages import read_jsonl

PREPROCESSOR: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": int(Image.Resampling.BILINEAR),
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


class Package:
    """A package folder, loaded: one onnxruntime session on one thread."""

    def __init__(self, folder: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def logits(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """float32 [batch, 10]."""
        return self.session.run(["logits"], {"pixel_values": pixel_values(images)})[0]

    def labels(self, images: Sequence[Image.Image]) -> list[str]:
        """The digit read in each image, "0" to "9"."""
        return [str(digit) for digit in self.logits(images).argmax(-1)]


def pixel_values(images: Sequence[Image.Image]) -> NDArray[np.float32]:
    """float32 [batch, 3, 32, 32], prepared as PREPROCESSOR says."""
    size = (PREPROCESSOR["size"]["width"], PREPROCESSOR["size"]["height"])
    resample = Image.Resampling(PREPROCESSOR["resample"])
    pixels = np.stack(
        [np.asarray(image.convert("RGB").resize(size, resample), np.float32) for image in images]
    )
    mean, std = (np.float32(PREPROCESSOR[key]) for key in ("image_mean", "image_std"))
    scaled = (pixels * np.float32(PREPROCESSOR["rescale_factor"]) - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def accuracy(expected: Sequence[str], predicted: Sequence[str]) -> float:
    """Share of right labels, from 0 to 1."""
    return sum(a == b for a, b in zip(expected, predicted, strict=True)) / len(expected)


def reference_rows(folder: Path) -> tuple[list[Image.Image], list[str]]:
    """The held-out images and labels of a package."""
    rows = read_jsonl(folder / "reference.jsonl")
    return [decode_image(row["image"]) for row in rows], [row["label"] for row in rows]


def encode_image(image: Image.Image) -> str:
    """A PNG file in base64."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def decode_image(text: str) -> Image.Image:
    """The reverse of `encode_image`."""
    return Image.open(io.BytesIO(base64.b64decode(text)))
