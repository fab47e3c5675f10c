"""scikit-learn estimators from files: skops by default, which runs nothing that it does not know.

A skops file names the types that it holds. Those that neither skops nor the list here knows are refused
before anything is built; the trees of forests, which skops leaves to its caller, are checked when they are.
Pickle and joblib files run what they say when they are read: whoever calls :func:`load_pickle` accepts that.
"""

from __future__ import annotations

import json
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

from modelserve._kit.sklearn_trees import UnfitTrees, check_trees

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
        return estimator
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UnfitEstimator(
            f"is not a skops file, or is truncated ({error}); save it again with `skops.io.dump`"
        ) from error
    except (UnfitEstimator, ModuleNotFoundError):
        raise
    except UnfitTrees as error:
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


def _check_whole(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if "schema.json" not in archive.namelist():
            raise UnfitEstimator("is a zip file without schema.json; save the model with `skops.io.dump`")
        damaged = archive.testzip()
        if damaged is not None:
            raise UnfitEstimator(f"is damaged at {damaged}; save it again with `skops.io.dump`")
        if not isinstance(json.loads(archive.read("schema.json")), dict):
            raise UnfitEstimator("has a schema.json that is no object; save it again with `skops.io.dump`")


def _line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 300 else line[:299] + "…"
