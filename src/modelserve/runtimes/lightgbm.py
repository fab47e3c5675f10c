"""Adapter: LightGBM on CPU, native models, one thread for each run.

The booster is shared by all threads that run batches: the engine takes a reader's lock for a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np

from modelserve._kit.onnx_errors import first_line
from modelserve.domain.inference import Array, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidPackage
from modelserve.runtimes.plain import PlainModel, matrix


class _Silent:
    """What the engine has to say is raised."""

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...


class LightgbmRuntime:
    """Loads boosters, which answer with what ``Booster.predict`` gives: a probability or a value."""

    def load(self, package: ModelPackage) -> PlainModel:
        """The model, in memory. Raises InvalidPackage if the engine refuses the file."""
        lightgbm.register_logger(_Silent())
        try:
            booster: Any = lightgbm.Booster(model_file=package.model_file)
        except Exception as error:  # the engine raises its own and whatever its reader meets
            raise InvalidPackage(
                f"{package.model_file.name}: LightGBM refuses it: {first_line(error)}"
            ) from error
        rows = matrix(package.signature)

        def run(tensors: Tensors, wanted: Sequence[str]) -> list[Array | None]:
            return [booster.predict(_floats(rows(tensors)), num_threads=1)]

        return PlainModel(package.signature, run)


def _floats(rows: Array) -> Array:
    """Whole numbers in double precision, as the trees were grown: the library would make FP32 of them."""
    return rows if rows.dtype.kind == "f" else rows.astype(np.float64)
