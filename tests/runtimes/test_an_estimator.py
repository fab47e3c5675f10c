"""An estimator of scikit-learn ..."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import lightgbm
import numpy as np
import pytest
import scipy.sparse
import skops.io
import xgboost
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.runtimes.base import why_turns

from .written_estimators import Doubling, Overwriting

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


def test_that_answers_with_a_sparse_matrix_gives_a_plain_one(opened, tmp_path):
    labels = scipy.sparse.csr_matrix((ROWS > 0).astype(np.int64))
    model = OneVsRestClassifier(LogisticRegression()).fit(ROWS, labels)
    skops.io.dump(model, tmp_path / "model.skops")
    with opened(tmp_path) as loaded:
        answer = loaded.predict({"input": ROWS})
    np.testing.assert_array_equal(answer["label"], model.predict(ROWS).toarray())


@pytest.mark.parametrize("declared", [None, "signature: {inputs: [{name: x, datatype: FP64, shape: [-1]}]}"])
def test_that_is_isotonic_takes_one_column(opened, tmp_path, declared):
    rows = ROWS[:, 0].astype(np.float64)
    model = IsotonicRegression(out_of_bounds="clip").fit(rows, rows**3)
    skops.io.dump(model, tmp_path / "model.skops")
    if declared:
        (tmp_path / "modelserve.yaml").write_text(declared)
    with opened(tmp_path) as loaded:
        answer = loaded.predict({"x": rows} if declared else {"input": rows[:, None]})
    np.testing.assert_array_equal(answer["label"], model.predict(rows))


def categories(*values):
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression(C=100))
    return model.fit(np.array(values)[:, None].repeat(10, 0), np.arange(len(values)).repeat(10))


TIMES = (1.7e9 + np.arange(100.0))[:, None]


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (categories(0.1, 0.7, 2.3), 0.7),
        (categories(16777216, 16777217, 16777219), 16777217),
        (make_pipeline(StandardScaler(), LinearRegression()).fit(TIMES, TIMES[:, 0] - 1.7e9), 1.7e9 + 41),
    ],
    ids=["decimals", "ids", "times"],
)
def test_of_doubles_takes_doubles(opened, tmp_path, model, row):
    """In single precision 0.7 is no category any more, two ids are one, and a time is a minute off."""
    skops.io.dump(model, tmp_path / "model.skops")
    with opened(tmp_path) as loaded:
        (spec,) = loaded.signature.inputs
        given = np.array([[row]], spec.datatype.numpy)
        np.testing.assert_array_equal(loaded.predict({"input": given})["label"], model.predict([[row]]))


def test_of_single_precision_takes_that(opened, tmp_path):
    """0.7 in double precision is no category of it."""
    model = categories(*np.array([0.1, 0.7, 2.3], np.float32))
    skops.io.dump(model, tmp_path / "model.skops")
    with opened(tmp_path) as loaded:
        (spec,) = loaded.signature.inputs
        given = np.array([[0.7]], spec.datatype.numpy)
        assert loaded.predict({"input": given})["label"].tolist() == [1]


# In which order it gets its columns.

COLUMNS = "signature: {{inputs: [{}], outputs: [{{name: label, datatype: FP64, shape: [-1]}}]}}"


@pytest.fixture(params=["skops", "joblib", "mlflow"])
def named(request, tmp_path):
    """``named(*columns)``: a file that was fitted on the columns income and age, and answers with income."""
    model = LinearRegression().fit(ROWS[:, :2].astype(np.float64), ROWS[:, 0].astype(np.float64))
    model.feature_names_in_ = np.array(["income", "age"], object)  # as fit() leaves it of a data frame
    if request.param == "skops":
        skops.io.dump(model, tmp_path / "model.skops")
    else:
        joblib.dump(model, tmp_path / "model.pkl")
    if request.param == "mlflow":
        (tmp_path / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl}}")

    def of(*columns):
        inputs = ", ".join(f"{{name: {name}, datatype: FP64, shape: [-1]}}" for name in columns)
        (tmp_path / "modelserve.yaml").write_text(COLUMNS.format(inputs))
        return tmp_path

    return of


@pytest.mark.parametrize("columns", ["age income", "income age", "x y"])
def test_gets_its_columns_by_name(opened, named, columns):
    """Names that it does not know are the owner's, in their order."""
    values = {"income": [70.0], "age": [1.0], "x": [70.0], "y": [1.0]}
    given = {name: np.array(values[name]) for name in columns.split()}
    with opened(named(*given)) as loaded:
        assert loaded.predict(given)["label"] == pytest.approx([70.0])


@pytest.mark.parametrize("columns", ["age wages", "wages income"])
def test_is_refused_where_one_of_its_columns_stands_elsewhere(opened, named, columns):
    wrong = next(name for name in columns.split() if name != "wages")
    with (
        pytest.raises(InvalidPackage, match=f"on the columns income, age, in which {wrong} is number"),
        opened(named(*columns.split())),
    ):
        pass


# What may run on several threads at once, and what is left alone.


@pytest.fixture
def pickled(tmp_path):
    """``pickled(estimator)``: the model of its pickle, with one FP64 value for each row."""

    def of(estimator):
        joblib.dump(estimator, tmp_path / "model.joblib")
        (tmp_path / "modelserve.yaml").write_text(
            "signature: {inputs: [{name: x, datatype: FP64, shape: [-1, 3]}],"
            " outputs: [{name: y, datatype: FP64, shape: [-1]}]}"
        )
        package = open_package(tmp_path)
        return runtime_for(package.runtime).load(package)

    return of


def test_that_keeps_something_gives_nobody_the_answer_of_another(pickled):
    model, start = pickled(Doubling()), threading.Barrier(4)

    def work(value):
        start.wait()
        return [float(model.predict({"x": np.full((1, 3), value)})["y"][0]) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, [1.0, 2.0, 3.0, 4.0])) == [[2.0] * 20, [4.0] * 20, [6.0] * 20, [8.0] * 20]
    assert "written_estimators.Doubling, which may keep something during a run" in why_turns(model)


class Scaler(StandardScaler):
    """Somebody's own, though it changes nothing."""


def own(rows):
    return rows


LINEAR = LinearRegression().fit(ROWS, ROWS[:, 0])


@pytest.mark.parametrize(
    ("estimator", "turns"),
    [
        (LINEAR, False),
        (make_pipeline(StandardScaler(), RandomForestRegressor(5)).fit(ROWS, ROWS[:, 0]), False),
        (make_pipeline(FunctionTransformer(np.abs), LINEAR), False),
        (xgboost.XGBRegressor(n_estimators=2).fit(ROWS, ROWS[:, 0]), False),
        (lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(ROWS, ROWS[:, 0]), False),
        (make_pipeline(FunctionTransformer(np.square, kw_args={"out": np.zeros((1, 3))}), LINEAR), True),
        (make_pipeline(Scaler(), LINEAR).fit(ROWS, ROWS[:, 0]), True),
        (make_pipeline(FunctionTransformer(own), LINEAR), True),
        (xgboost.XGBRegressor(n_estimators=2, booster="gblinear").fit(ROWS, ROWS[:, 0]), True),
    ],
    ids=["linear", "forest", "numpy", "xgboost", "lightgbm", "kept", "own class", "own function", "gblinear"],
)
def test_of_a_pickle_takes_turns_unless_all_parts_are_known(pickled, estimator, turns):
    assert bool(why_turns(pickled(estimator))) is turns


def test_of_skops_takes_turns_where_a_function_writes_to_what_it_keeps(opened, tmp_path):
    kept = FunctionTransformer(np.square, kw_args={"out": np.zeros((1, 3))})
    skops.io.dump(
        make_pipeline(kept, LinearRegression()).fit(ROWS[:1], ROWS[:1, 0]), tmp_path / "model.skops"
    )
    with opened(tmp_path) as loaded:
        assert "FunctionTransformer, which may keep something during a run" in why_turns(loaded)


def test_leaves_the_rows_that_it_is_given_alone(opened, tmp_path, pickled):
    rows = np.ones((2, 3))
    assert pickled(Overwriting()).predict({"x": rows})["y"].tolist() == [6.0, 6.0]
    np.testing.assert_array_equal(rows, np.ones((2, 3)))
    folder = tmp_path / "scaled"
    folder.mkdir()
    scaled = make_pipeline(StandardScaler(copy=False), LogisticRegression()).fit(ROWS.copy(), CLASSES)
    skops.io.dump(scaled, folder / "model.skops")
    given = ROWS.copy()
    with opened(folder) as loaded:
        assert not why_turns(loaded)
        answer = loaded.predict({"input": given})
    np.testing.assert_array_equal(given, ROWS)
    np.testing.assert_array_equal(answer["label"], scaled.predict(ROWS.copy()))
    np.testing.assert_allclose(answer["probabilities"], scaled.predict_proba(ROWS.copy()), rtol=1e-6)


def test_gets_whole_numbers_as_the_library_does(opened, tmp_path):
    times = 1_700_000_000 + np.arange(200)
    whole = np.stack([times, times % 7, times % 5], axis=1)
    model = LinearRegression().fit(whole, times % 100)
    skops.io.dump(model, tmp_path / "model.skops")
    (tmp_path / "modelserve.yaml").write_text(DECLARED.replace("FP64", "INT64"))
    with opened(tmp_path) as loaded:
        np.testing.assert_array_equal(loaded.predict({"x": whole})["label"], model.predict(whole))


@pytest.mark.parametrize("fitted", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_that_takes_only_what_it_was_fitted_on_gets_that(opened, tmp_path, kind, fitted):
    model = make_pipeline(StandardScaler(), kind(3, n_init=1, random_state=0)).fit(ROWS.astype(fitted))
    skops.io.dump(model, tmp_path / "model.skops")
    with opened(tmp_path) as loaded:
        (spec,) = loaded.signature.inputs
        assert spec.datatype.numpy == fitted
        answer = loaded.predict({"input": ROWS.astype(fitted)})
    np.testing.assert_array_equal(answer["label"], model.predict(ROWS.astype(fitted)))


def test_that_takes_only_float64_says_so_where_another_datatype_is_declared(tmp_path):
    skops.io.dump(KMeans(3, n_init=1).fit(ROWS.astype(np.float64)), tmp_path / "model.skops")
    (tmp_path / "modelserve.yaml").write_text(DECLARED.replace("FP64", "FP32"))
    with pytest.raises(
        InvalidPackage, match="one that was fitted on float64 may take `datatype: FP64` alone"
    ):
        open_package(tmp_path)
