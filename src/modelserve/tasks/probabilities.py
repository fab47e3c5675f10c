"""Logits to scores: softmax, exp(x_i) / sum_j exp(x_j), with the largest logit taken off first; sigmoid,
1 / (1 + exp(-x)); or as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from modelserve.domain.inference import Array
from modelserve.domain.models import Scores
from modelserve.errors import ModelFailed

Reals = NDArray[np.float32]

_NO_NUMBERS = "the model failed: its logits hold NaN or infinity"


def softmax(logits: Array) -> Reals:
    """Probabilities of the classes, shape [classes] both. Raises ModelFailed for what is not a number."""
    powers = _powers(logits)
    powers /= powers.sum()
    _check_numbers(float(powers.sum()))
    return powers


def sigmoid(logits: Array) -> Reals:
    """Probabilities of labels, each by itself, shape [labels] both. Raises ModelFailed as :func:`softmax`."""
    with np.errstate(over="ignore"):
        powers: Reals = np.exp(-values(logits))
    powers += 1
    return np.reciprocal(powers)


def values(logits: Array) -> Reals:
    """The logits themselves, shape [labels] both. Raises ModelFailed for what is not a number."""
    if not np.isfinite(logits).all():
        raise ModelFailed(_NO_NUMBERS)
    return logits.astype(np.float32)


SCORES: Mapping[Scores, Callable[[Array], Reals]] = {
    Scores.SOFTMAX: softmax,
    Scores.SIGMOID: sigmoid,
    Scores.VALUES: values,
}


def likeliest(logits: Array) -> tuple[list[int], list[float]]:
    """The likeliest class of each row and its probability, from logits [rows, classes].

    The softmax of the largest logit is 1 / sum_j exp(x_j - max). Raises ModelFailed as :func:`softmax` does.
    """
    scores: list[float] = (1 / _powers(logits).sum(axis=-1)).tolist()
    _check_numbers(sum(scores))
    return logits.argmax(axis=-1).tolist(), scores


def check_classes(logits: Array, labels: int) -> None:
    """Raises ModelFailed where the model gave another number of classes than it has labels."""
    if logits.shape[-1] != labels:
        raise ModelFailed(f"the model failed: it gave {logits.shape[-1]} classes for {labels} labels")


def _powers(logits: Array) -> Reals:
    shifted = logits.astype(np.float32)
    with np.errstate(invalid="ignore"):
        shifted -= shifted.max(axis=-1, keepdims=True)
    powers: Reals = np.exp(shifted, out=shifted)
    return powers


def _check_numbers(total: float) -> None:
    if math.isnan(total):
        raise ModelFailed(_NO_NUMBERS)
