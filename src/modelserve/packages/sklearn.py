"""Layout: a scikit-learn estimator saved by skops; a pickle only where the operator allows pickles.

A skops file is built here too, to learn what it answers: nothing in it runs that is not scikit-learn's own.
A pickle is never opened here, so its signature must be declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from modelserve._kit.estimator_parts import fitted_on_singles
from modelserve._kit.estimators import UnfitEstimator, dense, feature_names, load_skops, width
from modelserve.domain.inference import Array, DataType, Signature, TensorSpec
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidPackage, Unavailable
from modelserve.packages.declaration import FILE_NAME, Declaration, DeclaredTensor
from modelserve.packages.matrices import matrix_signature
from modelserve.packages.signatures import declared_signature, narrowed, specs, without_inputs
from modelserve.packages.single_file import SingleFile

LABEL, PROBABILITIES = "label", "probabilities"
SKOPS = ".skops"
PICKLES = (".pkl", ".pickle", ".joblib")

_UNTOLD = (
    "is a pickle, which is not read before the operator allows it; save it with "
    "`skops.io.dump(model, 'model.skops')` or convert it to ONNX with skl2onnx, or declare its signature in "
    f"{FILE_NAME} beside it"
)


def read_signature(path: Path, declaration: Declaration, alone: bool = False) -> Signature:
    """The declared signature, else one matrix in; ``label`` (and ``probabilities``) out.

    Raises InvalidPackage for a file that can't be used, Unavailable where skops is not installed.
    """
    if path.suffix in PICKLES:
        return _of_pickle(path, declaration)
    estimator = _load(path)
    tensors = declaration.signature.inputs
    if [tensor.datatype for tensor in tensors] == [DataType.BYTES]:
        outputs, _ = _outputs(path.name, estimator, [["text"]], declaration)
        sides = narrowed(path.name, Signature((), outputs), without_inputs(declaration))
        return replace(sides, inputs=specs(declaration.signature, "inputs"))
    features = width(estimator)
    if features is None:
        raise InvalidPackage(
            f"{path.name}: does not say how many features it takes (n_features_in_); for a model of texts "
            f"declare `signature: {{inputs: [{{name: text, datatype: BYTES, shape: [-1]}}]}}` in {FILE_NAME}"
        )
    rows = [np.zeros((1, features), datatype) for datatype in _precisions(estimator, tensors)]
    outputs, row = _outputs(path.name, estimator, rows, declaration)
    names, datatype = feature_names(estimator), DataType.of(row.dtype)
    return matrix_signature(path.name, features, outputs, declaration, names, datatype)


SKLEARN = SingleFile(Runtime.SKLEARN, (SKOPS, *PICKLES), read_signature, pickles=PICKLES)
"""A file ``anything.skops``, or a folder with exactly one."""


def _of_pickle(path: Path, declaration: Declaration) -> Signature:
    if not (declaration.signature.inputs and declaration.signature.outputs):
        raise InvalidPackage(f"{path.name}: {_UNTOLD}")
    return declared_signature(path.name, declaration)


def _load(path: Path) -> Any:
    try:
        estimator = load_skops(path)
    except UnfitEstimator as error:
        raise InvalidPackage(f"{path.name}: {error}") from error
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"reading scikit-learn models needs {error.name}: pip install 'modelserve[sklearn]'"
        ) from error
    if not callable(getattr(estimator, "predict", None)):
        raise InvalidPackage(
            f"{path.name}: holds a {type(estimator).__name__}, which has no predict(); "
            f"save a fitted classifier, regressor or pipeline that ends in one"
        )
    return estimator


def _precisions(estimator: Any, tensors: Sequence[DeclaredTensor]) -> list[np.dtype[Any]]:
    """Of its matrix, the likeliest first: the declared one, else that in which it was fitted. Rounded to
    single precision, 0.7 is no category any more that was fitted as a double, and large ids are one."""
    single, double = np.dtype(np.float32), np.dtype(np.float64)
    if tensors:
        return [np.result_type(*(tensor.datatype.numpy for tensor in tensors), single)]
    return [single, double] if fitted_on_singles(estimator) else [double, single]


def _outputs(
    file: str, estimator: Any, rows: Sequence[Any], declaration: Declaration
) -> tuple[tuple[TensorSpec, ...], Any]:
    """What it answers to the first of these made-up rows that it takes, and that row: the surest way to learn
    datatypes and shapes. Some take only what they were fitted on, single or double precision."""
    refusals = []
    for row in rows:
        try:
            return _answered(estimator, row), row
        except Exception as error:  # an estimator may raise anything
            refusals.append(error)
    if declaration.signature.outputs:
        return declared_signature(file, declaration).outputs, rows[0]
    said = (str(refusals[0]).splitlines() or [type(refusals[0]).__name__])[0][:300]
    raise InvalidPackage(
        f"{file}: does not answer to a made-up row ({said}); declare its signature in {FILE_NAME}"
        + ("; one that was fitted on float64 may take `datatype: FP64` alone" if "double" in said else "")
    ) from refusals[0]


def _answered(estimator: Any, row: Any) -> tuple[TensorSpec, ...]:
    found = [_spec(LABEL, dense(estimator.predict(row)))]
    if hasattr(estimator, "predict_proba"):
        probabilities = estimator.predict_proba(row)
        if isinstance(probabilities, np.ndarray):
            found.append(_spec(PROBABILITIES, probabilities))
    return tuple(found)


def _spec(name: str, answer: Array) -> TensorSpec:
    datatype = DataType.BYTES if answer.dtype.kind in "US" else DataType.of(answer.dtype)
    return TensorSpec(name, datatype, (-1, *answer.shape[1:]))
