"""scikit-learn estimators from files: skops by default, which runs nothing that it does not know.

A skops file names the types that it holds. Those that neither skops nor the list here knows are refused
before anything is built, as is a file that does more with them than to build them (``skops_schemas``); the
trees of forests, which skops leaves to its caller, are checked when they are built.
Pickle and joblib files run what they say when they are read: whoever calls :func:`load_pickle` accepts that.
"""

from __future__ import annotations

import json
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelserve._kit.sklearn_splines import SPLINE, UnfitSplines, check_splines
from modelserve._kit.sklearn_trees import UnfitTrees, check_trees
from modelserve._kit.skops_schemas import UnfitSchema, check_schema

_SPLITTERS = (
    *("GroupKFold", "GroupShuffleSplit", "KFold", "LeaveOneGroupOut", "LeaveOneOut", "LeavePGroupsOut"),
    *("LeavePOut", "PredefinedSplit", "RepeatedKFold", "RepeatedStratifiedKFold", "ShuffleSplit"),
    *("StratifiedGroupKFold", "StratifiedKFold", "StratifiedShuffleSplit", "TimeSeriesSplit"),
)
_METRICS = (
    *("_classification.accuracy_score", "_classification.balanced_accuracy_score"),
    *("_classification.brier_score_loss", "_classification.f1_score", "_classification.jaccard_score"),
    *("_classification.log_loss", "_classification.matthews_corrcoef", "_classification.precision_score"),
    *("_classification.recall_score", "_ranking.average_precision_score", "_ranking.roc_auc_score"),
    *("_regression.explained_variance_score", "_regression.max_error", "_regression.mean_absolute_error"),
    *("_regression.mean_absolute_percentage_error", "_regression.mean_gamma_deviance"),
    *("_regression.mean_poisson_deviance", "_regression.mean_squared_error"),
    *("_regression.mean_squared_log_error", "_regression.median_absolute_error", "_regression.r2_score"),
    *("_regression.root_mean_squared_error", "_regression.root_mean_squared_log_error"),
)
_KNOWN = frozenset(
    {
        # Checked once they are built: skops does not know them because they may point anywhere.
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        # What an imputer was fitted on: skops makes it by reading an array without elements.
        "numpy.dtype",
        # Plain Python, held by estimators that skops knows.
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn._loss.loss.HalfTweedieLoss",
        # A dict whose keys are attributes: what ensembles call their members.
        "sklearn.utils._bunch.Bunch",
        # What boosting puts before its trees where some columns are categories; check_schema sees to it.
        "functools.partial",
        "sklearn.utils.validation.check_array",
        # Splines are checked once they are built; they keep this function for what they are given.
        SPLINE,
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        # How a search for parameters divided its rows and scored: asked while it is fitted alone.
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._Scorer",
        *(f"sklearn.model_selection._split.{name}" for name in _SPLITTERS),
        *(f"sklearn.metrics.{name}" for name in _METRICS),
    }
)

_NAMELESS = "X does not have valid feature names"
"""Said at every call of an estimator that was fitted on a data frame; a signature sees to the order here."""


class UnfitEstimator(ValueError):
    """The file holds no estimator that can be used; the message says why and what would be right."""


def load_skops(path: Path) -> Any:
    """The estimator. Raises UnfitEstimator, and ModuleNotFoundError where skops is not installed."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        _check_whole(path)
        named = skops.io.get_untrusted_types(file=path)
        unknown = [name for name in named if name not in _KNOWN]
        if unknown:
            raise UnfitEstimator(
                f"holds types that are not known to be safe, and so are not built: {', '.join(unknown)}; "
                f"save a model without them, or convert it to ONNX with skl2onnx"
            )
        warnings.filterwarnings("ignore", _NAMELESS, UserWarning)
        estimator = skops.io.load(path, trusted=named)
        check_trees(estimator)
        check_splines(estimator)
        return estimator
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UnfitEstimator(
            f"is not a skops file, or is truncated ({error}); save it again with `skops.io.dump`"
        ) from error
    except (UnfitEstimator, ModuleNotFoundError):
        raise
    except (UnfitSchema, UnfitTrees, UnfitSplines) as error:
        raise UnfitEstimator(str(error)) from error
    except UntrustedTypesFoundException as error:
        raise UnfitEstimator(f"is refused by skops: {_line(error)}") from error
    except Exception as error:  # what the schema holds decides what fails
        raise UnfitEstimator(f"can't be built by this scikit-learn: {_line(error)}") from error


def load_pickle(path: Path) -> Any:
    """The estimator of a file that is trusted to run code. Raises UnfitEstimator, ModuleNotFoundError."""
    import joblib

    warnings.filterwarnings("ignore", _NAMELESS, UserWarning)
    try:
        return joblib.load(path)
    except ModuleNotFoundError as error:
        raise UnfitEstimator(f"needs the module {error.name}, which is not installed") from error
    except Exception as error:  # a pickle may raise anything
        raise UnfitEstimator(f"can't be unpickled: {_line(error)}") from error


def feature_names(estimator: Any) -> list[str]:
    """What the columns were called that it was fitted on; empty where it does not say."""
    names = getattr(estimator, "feature_names_in_", None)
    return [] if names is None else list(map(str, names))


def width(estimator: Any) -> int | None:
    """How many columns it takes; None where it does not say. An isotonic regression has no need to."""
    features = getattr(estimator, "n_features_in_", None)
    if features is None and type(estimator).__name__ == "IsotonicRegression":
        return 1
    return features if isinstance(features, int) else None


def dense(answer: Any) -> NDArray[Any]:
    """What it answered as an array: of labels that were fitted as a sparse matrix, it answers with one."""
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)


def _check_whole(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if "schema.json" not in archive.namelist():
            raise UnfitEstimator("is a zip file without schema.json; save the model with `skops.io.dump`")
        damaged = archive.testzip()
        if damaged is not None:
            raise UnfitEstimator(f"is damaged at {damaged}; save it again with `skops.io.dump`")
        schema = json.loads(archive.read("schema.json"))
        if not isinstance(schema, dict):
            raise UnfitEstimator("has a schema.json that is no object; save it again with `skops.io.dump`")
        check_schema(schema)


def _line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 300 else line[:299] + "…"
