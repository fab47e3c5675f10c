"""Task: the bytes of an image in, its most likely labels out."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelserve.domain.inference import Label, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidInput, InvalidPackage
from modelserve.tasks.decoding import Mode, decode_image
from modelserve.tasks.preprocessing import FILE_NAME, Preprocessing, read_preprocessing
from modelserve.tasks.probabilities import SCORES, check_classes

TOP = 5
"""Labels in one answer."""


class ImageClassification:
    """Needs a package whose task is image-classification.

    Raises InvalidPackage for a preprocessor that can't be used, or makes images of a size that the model
    can't take.
    """

    def __init__(self, package: ModelPackage) -> None:
        pixels = package.signature.inputs[0]
        self._input, self._dtype = pixels.name, pixels.datatype.numpy
        self._logits = package.logits
        self._labels, self._scores = package.labels, SCORES[package.scores]
        self._max_pixels = package.limits.max_pixels
        channels = 1 if pixels.shape[1] == 1 else 3
        self._mode: Mode = "L" if channels == 1 else "RGB"
        self._preprocessing = read_preprocessing(package.path, channels, package.limits.max_pixels)
        _check_size(self._preprocessing, pixels.shape[2:])

    def prepare(self, item: str | bytes) -> tuple[Tensors, None]:
        """One tensor [1, channels, height, width].

        Raises InvalidInput, PayloadTooLarge or UnsupportedMedia.
        """
        if isinstance(item, str):
            raise InvalidInput("this model takes the bytes of a PNG, JPEG or WebP image, not text")
        image = decode_image(item, self._max_pixels, self._mode)
        pixels = self._preprocessing.apply(image)
        return {self._input: pixels[None].astype(self._dtype, copy=False)}, None

    def finish(self, outputs: Tensors, context: Any) -> tuple[Label, ...]:
        """At most :data:`TOP` labels, the best score first, from logits [1, labels]. Raises ModelFailed."""
        logits = outputs[self._logits][0]
        check_classes(logits, len(self._labels))
        scores = self._scores(logits)
        best = np.argsort(-scores, kind="stable")[:TOP]
        return tuple(Label(self._labels[index], float(scores[index])) for index in best)


def _check_size(preprocessing: Preprocessing, graph: tuple[int, ...]) -> None:
    fixed = [axis for axis in graph if axis > 0]
    made = preprocessing.size
    if made is None and fixed:
        raise InvalidPackage(
            f"{FILE_NAME}: images keep their own proportions, but the model takes height and width "
            f"{list(graph)}; set size to height and width, or do_center_crop with crop_size"
        )
    if made is not None and any(axis not in (-1, side) for axis, side in zip(graph, made, strict=True)):
        raise InvalidPackage(
            f"{FILE_NAME}: images come out with height and width {list(made)}, but the model "
            f"takes {list(graph)}"
        )
