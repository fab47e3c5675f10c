"""scikit-learn's digits (1797 images of 8 x 8 grey pixels, 0 to 16), split once and for all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

SIZE = 32
HELD_OUT_EACH = 20  # held-out images of each digit
SPLIT_SEED = 2024


@dataclass(frozen=True)
class Digits:
    """Images as 8-bit grey PIL images of SIZE x SIZE, and their labels."""

    images: list[Image.Image]
    labels: NDArray[np.int64]


def load() -> tuple[Digits, Digits]:
    """Training and held-out images; the held-out ones have equally many of each digit."""
    raw = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(raw.target))
    held_out = np.concatenate([order[raw.target[order] == d][:HELD_OUT_EACH] for d in range(10)])
    rest = order[~np.isin(order, held_out)]
    np.random.default_rng(SPLIT_SEED).shuffle(held_out)
    return _digits(raw, rest), _digits(raw, held_out)


def _digits(raw: dict[str, NDArray[np.float64]], rows: NDArray[np.int64]) -> Digits:
    pixels = (raw["images"][rows] * (255 / 16)).astype(np.uint8)
    images = [Image.fromarray(p).resize((SIZE, SIZE), Image.Resampling.BILINEAR) for p in pixels]
    return Digits(images, raw["target"][rows].astype(np.int64))
