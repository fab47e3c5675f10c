"""Adapter: scikit-learn on CPU, one thread for each run.

Answers with ``predict`` as the first output and ``predict_proba`` as the second, where the signature has two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from threadpoolctl import threadpool_limits

from modelserve._kit.estimator_parts import overwrites, stranger
from modelserve._kit.estimators import UnfitEstimator, dense, feature_names, load_pickle, load_skops
from modelserve.domain.columns import in_order
from modelserve.domain.inference import Array, DataType, Signature, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidPackage
from modelserve.runtimes.plain import OncePerThread, PlainModel, matrix, texts


class SklearnRuntime:
    """Loads estimators from skops files, and from pickles: whoever calls it has asked whether it may."""

    def load(self, package: ModelPackage) -> PlainModel:
        """The model, in memory. Raises InvalidPackage for a file that can't be used."""
        file, signature = package.model_file, package.signature
        try:
            estimator = load_pickle(file) if package.pickled else load_skops(file)
        except UnfitEstimator as error:
            raise InvalidPackage(f"{file.name}: {error}") from error
        _check_methods(file.name, estimator, signature)
        _one_job_each(estimator)
        turns, given = _turns(estimator), _given(file.name, estimator, signature)
        run = _run(estimator, given, signature, bool(turns) or overwrites(estimator))
        return PlainModel(signature, run, steady=not package.pickled, turns=turns)


def _turns(estimator: Any) -> str:
    """Why its runs may not overlap: what somebody wrote may keep a thing between two of its own lines."""
    strange = stranger(estimator)
    return f"its file holds {strange}, which may keep something during a run" if strange else ""


def _check_methods(file: str, estimator: Any, signature: Signature) -> None:
    needed = ["predict", "predict_proba"][: len(signature.outputs)]
    missing = [name for name in needed if not callable(getattr(estimator, name, None))]
    lacking = " and ".join(missing) or ("a third output" if len(signature.outputs) > 2 else "")
    if lacking:
        raise InvalidPackage(
            f"{file}: holds a {type(estimator).__name__} without {lacking}; "
            f"the first output is predict(), the second predict_proba()"
        )


def _one_job_each(estimator: Any) -> None:
    """Keep every part from starting threads or processes of its own."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    jobs = {name: 1 for name in parameters if name == "n_jobs" or name.endswith("__n_jobs")}
    if jobs:
        estimator.set_params(**jobs)


def _run(
    estimator: Any, given: Callable[[Tensors], Any], signature: Signature, overwrites: bool
) -> Callable[[Tensors, Sequence[str]], list[Array | None]]:
    """``overwrites``: whether it writes to its rows, so that each method gets rows of its own."""
    names = [spec.name for spec in signature.outputs]
    one_thread = OncePerThread(lambda: threadpool_limits(limits=1))

    def run(tensors: Tensors, wanted: Sequence[str]) -> list[Array | None]:
        one_thread()
        rows = given(tensors)
        methods = (estimator.predict, getattr(estimator, "predict_proba", None))
        return [
            dense(method(rows.copy() if overwrites else rows))
            if name in wanted and method is not None
            else None
            for name, method in zip(names, methods, strict=False)
        ]

    return run


def _given(file: str, estimator: Any, signature: Signature) -> Callable[[Tensors], Any]:
    """What the estimator gets: a list of texts, or a matrix with the columns in the order of its own.

    Nobody but it knows that order where it was pickled. Raises InvalidPackage where no order is right.
    """
    if all(spec.datatype is not DataType.BYTES for spec in signature.inputs):
        inputs = in_order(file, signature.inputs, feature_names(estimator))
        return matrix(replace(signature, inputs=inputs))
    name = signature.inputs[0].name
    return lambda tensors: texts(name, tensors[name])
