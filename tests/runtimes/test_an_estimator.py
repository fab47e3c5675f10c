"""An estimator of scikit-learn ..."""

import warnings

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from modelserve.errors import InvalidInput, ModelFailed

ROWS = np.random.default_rng(5).normal(size=(200, 3)).astype(np.float32)
CLASSES = (ROWS[:, 0] > 0).astype(np.int64)
GAPS = ROWS.copy()
GAPS[::5, 1] = np.nan
DECLARED = "signature: {inputs: [{name: x, datatype: FP64, shape: [-1, 3]}]}"


def test_that_was_fitted_on_a_data_frame_warns_of_nothing(opened, tmp_path):
    model = LogisticRegression().fit(ROWS, CLASSES)
    model.feature_names_in_ = np.array(["a", "b", "c"], object)
    skops.io.dump(model, tmp_path / "model.skops")
    with warnings.catch_warnings(record=True) as seen, opened(tmp_path) as loaded:
        for _ in range(3):
            loaded.predict({"input": ROWS})
    assert [str(warning.message) for warning in seen if "feature names" in str(warning.message)] == []


@pytest.mark.parametrize(
    "model",
    [HistGradientBoostingClassifier(max_iter=3), make_pipeline(SimpleImputer(), LogisticRegression())],
    ids=["trees", "an imputer"],
)
def test_that_takes_missing_values_answers(opened, tmp_path, model):
    skops.io.dump(model.fit(GAPS, CLASSES), tmp_path / "model.skops")
    with opened(tmp_path) as loaded:
        answer = loaded.predict({"input": GAPS})
    np.testing.assert_array_equal(answer["label"], model.predict(GAPS))


@pytest.mark.parametrize(
    "best", [SelectKBest(k=2), SelectKBest(f_regression, k=2)], ids=["classes", "values"]
)
def test_that_chose_its_columns_answers(opened, tmp_path, best):
    model = make_pipeline(best, LogisticRegression()).fit(ROWS, CLASSES)
    skops.io.dump(model, tmp_path / "model.skops")
    with opened(tmp_path) as loaded:
        answer = loaded.predict({"input": ROWS})
    np.testing.assert_array_equal(answer["label"], model.predict(ROWS))


@pytest.mark.parametrize("value", ["NaN", "inf", "-inf", "1e+300"])
@pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(2)], ids=["linear", "trees"])
def test_that_does_not_take_a_value_says_which(opened, tmp_path, model, value):
    skops.io.dump(model.fit(ROWS, CLASSES), tmp_path / "model.skops")
    (tmp_path / "modelserve.yaml").write_text(DECLARED)
    rows = ROWS[:4].astype(np.float64)
    rows[2, 1] = float(value)
    with opened(tmp_path) as loaded:
        try:
            answer = loaded.predict({"x": rows})
        except InvalidInput as error:
            refused = error.message
        else:  # some take some of them: a tree any NaN, a sum a large number
            np.testing.assert_array_equal(answer["label"], model.predict(rows))
            return
    assert refused.startswith(f"input 'x': row 2 holds {value}; this model does not take it: ")
    with pytest.raises(ValueError, match=r"NaN|infinity|too large"):
        model.predict(rows)


def test_that_fails_on_numbers_has_failed_itself(opened, tmp_path):
    skops.io.dump(LogisticRegression().fit(ROWS, CLASSES), tmp_path / "model.skops")
    with opened(tmp_path) as loaded, pytest.raises(ModelFailed, match="the model failed"):
        loaded.predict({"input": np.ones((2, 9), np.float32)})
