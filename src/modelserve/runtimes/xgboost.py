"""Adapter: XGBoost on CPU, native models, one thread for each run.

The booster is shared by all threads that run batches: its in-place prediction may be called from many.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import xgboost

from modelserve._kit.onnx_errors import first_line
from modelserve.domain.inference import Array, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidPackage
from modelserve.runtimes.plain import PlainModel, matrix

_SOURCE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")


class XgboostRuntime:
    """Loads boosters, which answer with what ``Booster.predict`` gives: a probability, a value, a class."""

    def load(self, package: ModelPackage) -> PlainModel:
        """The model, in memory. Raises InvalidPackage if the engine refuses the file."""
        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(package.model_file.read_bytes()))  # the format by content, not name
            booster.set_param({"nthread": 1, "device": "cpu"})
            predict = _linear(booster) if _kind(booster) == "gblinear" else _trees(booster)
        except Exception as error:  # the engine raises its own and whatever its reader meets
            raise InvalidPackage(f"{package.model_file.name}: XGBoost refuses it: {_said(error)}") from error
        rows = matrix(package.signature)

        def run(tensors: Tensors, wanted: Sequence[str]) -> list[Array | None]:
            return [predict(rows(tensors))]

        return PlainModel(package.signature, run, _said)


def _kind(booster: Any) -> str:
    config: str = booster.save_config()
    found = re.search(r'"gradient_booster":\{.*?"name":"(gbtree|gblinear|dart)"', config)
    return found[1] if found else "gbtree"


def _trees(booster: Any) -> Any:
    """Up to the best round, where training stopped early, as the training library's own ``predict`` does.

    A booster that was cut down after its training may tell of a best round that it no longer has.
    """
    best = booster.attr("best_iteration")
    there = best is not None and int(best) < booster.num_boosted_rounds()
    rounds = (0, int(best) + 1) if there else (0, 0)
    return lambda rows: booster.inplace_predict(rows, iteration_range=rounds)


def _linear(booster: Any) -> Any:
    """A linear booster has no in-place prediction, and no promise for several threads.

    Columns have no names here, so the booster's own are not compared: the signature has put them in order.
    """
    one_at_a_time = threading.Lock()

    def predict(rows: Array) -> Array:
        data = xgboost.DMatrix(rows, nthread=1)
        with one_at_a_time:
            answer: Array = booster.predict(data, validate_features=False)
            return answer

    return predict


def _said(error: Exception) -> str:
    return _SOURCE.sub("", first_line(error)).removeprefix("Check failed: ")
