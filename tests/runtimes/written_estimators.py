"""Estimators that somebody wrote: what a pickle of theirs needs to be read again."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


class Doubling:
    """Keeps its rows between two lines of its own."""

    def predict(self, rows: Any) -> Any:
        self.rows = np.asarray(rows)
        time.sleep(0.002)
        return self.rows[:, 0] * 2


class Overwriting:
    """Answers with the sum of its rows, which it doubles first, where they are."""

    def predict(self, rows: Any) -> Any:
        rows *= 2
        return rows.sum(axis=1)
