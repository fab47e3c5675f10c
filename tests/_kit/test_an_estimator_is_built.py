"""An estimator is built of what is known to be harmless, and of nothing else."""

import json
import warnings
import zipfile
from contextlib import contextmanager
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


@contextmanager
def changed(path):
    """The schema of the file, which is written back."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    yield schema
    entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("loader", ["PartialNode", "FunctionNode"])
def test_whose_parts_go_by_other_names_is_refused(saved, loader):
    """A node of the same number stands for another; a partial may say that it is something else."""
    steps = FunctionTransformer(np.add), FunctionTransformer(partial(check_array, dtype=None))
    path = saved(make_pipeline(*steps, Ridge().fit(ROWS, VALUES)))
    with changed(path) as schema:
        add, bound = _nodes(schema, "__class__", "add")[0], _nodes(schema, "__loader__", "PartialNode")[0]
        if loader == "FunctionNode":
            bound["content"]["func"]["__id__"] = add["__id__"]
        else:
            bound |= {"__class__": "chi2", "__module__": "sklearn.feature_selection._univariate_selection"}
            bound["content"]["func"] |= {"__class__": "add", "__module__": add["__module__"]}
    assert "binds arguments to numpy.add" in refusal(path)


OF_NAMES = LogisticRegression(class_weight={"little": 1, "much": 2}).fit(ROWS, CLASSES)


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("functools.partial", "ConstructorFromReduceNode"), ("functools.partial", "LossNode"),
        ("functools.partial", "ObjectNode"), ("sklearn.metrics._scorer._PassthroughScorer", "LossNode"),
        ("sklearn.pipeline.Pipeline", "ConstructorFromReduceNode"), ("numpy.dtype", "ObjectNode"),
        ("sklearn.tree._tree.Tree", "ObjectNode"), ("sklearn.utils._bunch.Bunch", "ObjectNode"),
    ],
)  # fmt: skip
def test_that_calls_a_class_with_arguments_of_its_own_is_refused(saved, name, loader):
    """skops asks whether a name is trusted, and not what is done with it."""
    path = saved(make_pipeline(StandardScaler(), OF_NAMES))
    module, _, kind = name.rpartition(".")
    with changed(path) as schema:
        node = _nodes(schema, "__class__", "StandardScaler")[0]
        node |= {"__class__": kind, "__module__": module, "__loader__": loader}
    assert f" {name}" in refusal(path)


@pytest.mark.parametrize("place", ["list", "kind", "number of a list", "number of a kind"])
def test_that_calls_something_else_with_the_keys_of_a_dictionary_is_refused(saved, place):
    """What stands in the place of a type of keys is called with each key."""
    path = saved(make_pipeline(StandardScaler().fit(ROWS), OF_NAMES))
    with changed(path) as schema:
        held = next(node for node in _every(schema) if "key_types" in node and node["key_types"]["content"])
        scaler = _nodes(schema, "__class__", "StandardScaler")[0]
        listed = held["key_types"]
        if place == "list":
            held["key_types"] = scaler
        elif place == "kind":
            listed["content"][0] = scaler
        else:
            some = listed if place == "number of a list" else listed["content"][0]
            some["__id__"] = scaler["__id__"]
    assert "StandardScaler" in refusal(path)


@pytest.mark.parametrize(
    ("estimator", "hidden"),
    [
        (VotingClassifier(PAIR), "predict"), (StandardScaler(), "transform"),
        (LogisticRegression(), "decision_function"),
    ],
)  # fmt: skip
def test_whose_attributes_stand_in_the_place_of_methods_is_refused(saved, estimator, hidden):
    """Such as the one by which a forest checks how many columns it gets."""
    fitted = estimator.fit(ROWS, CLASSES)
    vars(fitted)[hidden] = np.positive
    assert f"whose {hidden} is none of scikit-learn's" in refusal(saved(fitted))


def test_that_asks_its_members_for_anything_else_than_predictions_is_refused(saved):
    stack = StackingClassifier(PAIR, cv=2).fit(ROWS, CLASSES)
    stack.stack_method_ = ["predict_proba", "tofile"]
    assert "asks its members for tofile" in refusal(saved(stack))


def _every(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] * isinstance(value, dict) + [node for each in inner for node in _every(each)]


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
    told = FunctionTransformer(partial(check_array, ROWS[:, :1]))
    others = [(rest[0], other, rest[2]) for other in (StandardScaler(), told)]
    for steps in ([encoder, fewer, *more], [encoder, others[0]], [encoder, others[1]], [encoder]):
        estimator._preprocessor.transformers_ = steps
        assert "prepares its 3 features otherwise than scikit-learn does" in refusal(saved(estimator))


def test_with_a_tree_whose_sets_of_categories_are_short_is_refused(saved):
    estimator = HistGradientBoostingClassifier(**CATEGORIES).fit(
        ROWS, np.where(ROWS[:, 0] % 2, "odd", "even")
    )
    tree = estimator._predictors[0][0]
    tree.raw_left_cat_bitsets = tree.raw_left_cat_bitsets[:, :1]
    assert "sets of categories are not 8 words each" in refusal(saved(estimator))
