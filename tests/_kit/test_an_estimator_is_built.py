"""An estimator is built of what is known to be harmless, and of nothing else."""

import json
import warnings
import zipfile
from functools import partial

import numpy as np
import pytest
import scipy.sparse
import skops.io
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, TweedieRegressor
from sklearn.model_selection import GridSearchCV, KFold, RepeatedStratifiedKFold, TimeSeriesSplit
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler
from sklearn.utils.validation import check_array

from modelserve._kit.estimators import UnfitEstimator, dense, load_skops, width

RNG = np.random.default_rng(2)
ROWS = np.abs(RNG.normal(size=(80, 3)))
ROWS[:, 0] = RNG.integers(0, 5, 80)
CLASSES = np.where(ROWS[:, 1] > 0.7, "much", "little")
VALUES = ROWS[:, 1] + ROWS[:, 0]
LABELS = scipy.sparse.csr_matrix((ROWS > 0.7).astype(np.int64))
PAIR = [("linear", LogisticRegression()), ("bayes", GaussianNB())]
CATEGORIES = {"max_iter": 4, "categorical_features": [0], "min_samples_leaf": 2}


def search(cv=None, **told):
    return GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=cv or 2, **told)


@pytest.fixture
def saved(tmp_path):
    """``saved(estimator)``: its skops file."""

    def of(estimator):
        skops.io.dump(estimator, tmp_path / "model.skops")
        return tmp_path / "model.skops"

    return of


@pytest.mark.parametrize(
    "estimator",
    [
        VotingClassifier(PAIR, voting="soft"), StackingClassifier(PAIR, cv=2), search(), search(KFold(2)),
        search(RepeatedStratifiedKFold(n_splits=2)), search(TimeSeriesSplit(2), scoring="accuracy"),
        search(scoring=["f1_macro", "roc_auc"], refit="roc_auc"),
        HistGradientBoostingClassifier(**CATEGORIES),
    ],
)  # fmt: skip
def test_of_classes(saved, estimator):
    with warnings.catch_warnings(action="ignore"):
        estimator.fit(ROWS, CLASSES)
    built = load_skops(saved(estimator))
    np.testing.assert_array_equal(built.predict(ROWS), estimator.predict(ROWS))
    np.testing.assert_array_equal(built.predict_proba(ROWS), estimator.predict_proba(ROWS))


@pytest.mark.parametrize(
    "estimator",
    [
        VotingRegressor([("linear", LinearRegression()), ("ridge", Ridge())]), TweedieRegressor(power=1),
        TweedieRegressor(power=1.5), make_pipeline(SplineTransformer(), LinearRegression()),
        make_pipeline(SplineTransformer(extrapolation="linear", sparse_output=True), Ridge()),
        HistGradientBoostingRegressor(**CATEGORIES),
        GridSearchCV(Ridge(), {"alpha": [1]}, scoring="r2", cv=3),
    ],
)  # fmt: skip
def test_of_values(saved, estimator):
    estimator.fit(ROWS, VALUES)
    np.testing.assert_array_equal(load_skops(saved(estimator)).predict(ROWS), estimator.predict(ROWS))


def test_whose_labels_are_a_sparse_matrix(saved):
    estimator = OneVsRestClassifier(LogisticRegression()).fit(ROWS, LABELS)
    answer = dense(load_skops(saved(estimator)).predict(ROWS))
    np.testing.assert_array_equal(answer, estimator.predict(ROWS).toarray())


def test_that_takes_one_column_without_a_word(saved):
    built = load_skops(saved(IsotonicRegression().fit(VALUES, ROWS[:, 1])))
    assert width(built) == 1


# What a file could do with these parts that no fit() does.


def refusal(path):
    with pytest.raises(UnfitEstimator) as caught:
        load_skops(path)
    return str(caught.value)


@pytest.mark.parametrize("bound", [partial(np.add, 1), partial(LinearRegression), partial(json.dumps, 1)])
def test_that_binds_arguments_to_another_function_is_refused(saved, bound):
    message = refusal(saved(make_pipeline(FunctionTransformer(bound), Ridge().fit(ROWS, VALUES))))
    assert "binds arguments to" in message
    assert "only sklearn.utils.validation.check_array is" in message


@pytest.mark.parametrize("loader", ["PartialNode", "FunctionNode"])
def test_whose_parts_go_by_other_names_is_refused(saved, loader):
    """A node of the same number stands for another; a partial may say that it is something else."""
    steps = FunctionTransformer(np.add), FunctionTransformer(partial(check_array, dtype=None))
    path = saved(make_pipeline(*steps, Ridge().fit(ROWS, VALUES)))
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    add, bound = _nodes(schema, "__class__", "add")[0], _nodes(schema, "__loader__", "PartialNode")[0]
    if loader == "FunctionNode":
        bound["content"]["func"]["__id__"] = add["__id__"]
    else:
        bound |= {"__class__": "chi2", "__module__": "sklearn.feature_selection._univariate_selection"}
        bound["content"]["func"] |= {"__class__": "add", "__module__": add["__module__"]}
    entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert "binds arguments to numpy.add" in refusal(path)


def _nodes(value, key, wanted):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    here = [value] if isinstance(value, dict) and value.get(key) == wanted else []
    return here + [node for each in inner for node in _nodes(each, key, wanted)]


@pytest.mark.parametrize(
    "change",
    [
        {"_c": np.zeros((2, 2))}, {"k": 9}, {"k": -1}, {"k": 2.5}, {"_t": np.arange(9)}, {"axis": 1},
        {"_t": np.arange(20.0)[::-1]}, {"_t": np.full(11, np.nan)}, {"_c": None}, {"c": np.zeros((2, 2))},
    ],
)  # fmt: skip
def test_with_a_spline_whose_knots_do_not_fit_is_refused(saved, change):
    estimator = make_pipeline(SplineTransformer(), LinearRegression()).fit(ROWS, VALUES)
    vars(estimator[0].bsplines_[1]).update(change)
    assert "a spline whose coefficients do not fit its knots" in refusal(saved(estimator))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (np.zeros(3, np.uint8), "asks for the category of a feature that has none"),
        (np.ones(2, np.uint8), "asks for the category of a feature that has none"),
        (None, "asks for the category of a feature that has none"),
    ],
)
def test_with_a_tree_that_asks_for_a_category_that_nobody_knows_is_refused(saved, known, said):
    estimator = HistGradientBoostingClassifier(**CATEGORIES).fit(ROWS, CLASSES)
    estimator.fit(ROWS, np.where(ROWS[:, 0] % 2, "odd", "even"))
    estimator._bin_mapper.is_categorical_ = known
    assert said in refusal(saved(estimator))


def test_whose_trees_would_get_fewer_columns_than_they_name_is_refused(saved):
    estimator = HistGradientBoostingClassifier(**CATEGORIES).fit(ROWS, CLASSES)
    encoder, rest, *more = estimator._preprocessor.transformers_
    fewer = (rest[0], rest[1], np.array([False, True, False]))
    for steps in ([encoder, fewer, *more], [encoder, (rest[0], StandardScaler(), rest[2])], [encoder]):
        estimator._preprocessor.transformers_ = steps
        assert "prepares its 3 features otherwise than scikit-learn does" in refusal(saved(estimator))
