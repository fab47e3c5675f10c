"""A short text gives the same scores alone and in a batch with longer ones."""

from collections.abc import Callable

import numpy as np
import pytest

from training.ner.rows import Row
from training.ner.score import Package


@pytest.mark.parametrize("version", ["1", "2", "3-slow", "3-worse"])
def test_padding_changes_no_score_by_more_than_a_ten_thousandth(
    load: Callable[[str], Package], held_out: list[Row], version: str
) -> None:
    package = load(version)
    encodings = [package.tokenizer.encode(row.text) for row in held_out[:16]]
    assert len({len(encoding) for encoding in encodings}) > 5
    together = package.logits(encodings)
    for row, encoding in zip(together, encodings, strict=True):
        alone = package.logits([encoding])[0]
        assert np.abs(row[: len(encoding)] - alone).max() <= 1e-4
