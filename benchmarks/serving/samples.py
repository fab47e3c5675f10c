"""What the benchmark asks: tensors and images with random content of a fixed seed."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.serving.models import SIDE, VOCABULARY
from modelserve.domain.inference import Tensors

TOKENS = 64
SHORTEST, LONGEST = 8, 256
PICTURE = (500, 375)
"""Width and height of an uploaded image: the usual size in ImageNet."""


def tensors(model: str, count: int) -> list[Tensors]:
    """``count`` different inputs of one row each."""
    random = np.random.default_rng(1)
    if "bert" in model:
        return [_text(random, TOKENS) for _ in range(count)]
    shape, name = ((1, 8), "x") if model == "tiny" else ((1, 3, SIDE, SIDE), "pixel_values")
    return [{name: random.standard_normal(shape, np.float32)} for _ in range(count)]


def mixed(count: int) -> list[Tensors]:
    """Texts whose lengths are spread evenly from 8 to 256 tokens, shuffled."""
    random = np.random.default_rng(2)
    lengths = np.linspace(SHORTEST, LONGEST, count).astype(int)
    random.shuffle(lengths)
    return [_text(random, length) for length in lengths]


def _text(random: np.random.Generator, length: int) -> Tensors:
    ids = random.integers(1000, VOCABULARY, (1, length))
    ones, zeros = np.ones((1, length), np.int64), np.zeros((1, length), np.int64)
    return {"input_ids": ids, "attention_mask": ones, "token_type_ids": zeros}


def images(count: int) -> Sequence[bytes]:
    """JPEGs of smooth colours with some grain, as hard to decode as photographs."""
    random = np.random.default_rng(3)
    return [_jpeg(random) for _ in range(count)]


def _jpeg(random: np.random.Generator) -> bytes:
    coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).resize(
        PICTURE, Image.Resampling.BICUBIC
    )
    grain = random.normal(0, 8, (*coarse.size[::-1], 3))
    picture = Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()
