"""The parts of an estimator are known, or the first that is not is named."""

from collections import deque
from functools import partial

import numpy as np
import pytest
import scipy
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVR

from modelserve._kit import estimator_parts
from modelserve._kit.estimator_parts import fitted_on_singles, overwrites, stranger


class Own:
    def method(self, rows):
        return rows


NAMELESS = {"__name__": None}
exec("def nameless(rows): return rows", NAMELESS)  # what a pickle may bring along


def holding(part):
    """An estimator with something else among its attributes."""
    estimator = LinearRegression()
    estimator.found_ = part
    return estimator


@pytest.mark.parametrize(
    "part",
    [
        1, "text", None, np.arange(3), np.abs, np.float64, np.random.RandomState(0),
        {"a": [StandardScaler()]}, partial(np.clip, a_min=0),
        FunctionTransformer(np.square, kw_args={"out": None}),
        FunctionTransformer(np.clip, kw_args={"a_min": np.zeros(3), "a_max": None}),
    ],
)  # fmt: skip
def test_of_the_libraries_are_known(part):
    assert stranger(holding(part)) == ""


@pytest.mark.parametrize(
    "part",
    [
        Own(), Own, Own().method, lambda rows: rows, NAMELESS["nameless"], np,
        partial(np.abs, out=np.zeros(2)), partial(Own), partial(np.abs, Own()),
        [{"a": (Own(),)}], {Own(): 1}, deque([Own()]), np.array([Own()], object),
        FunctionTransformer(Own().method), np.vectorize(lambda row: row),
        np.array([(1, Own())], [("a", int), ("b", object)]), np.array([(Own(),)], [("a", object)])[0],
        FunctionTransformer(np.square, kw_args={"out": np.zeros((1, 3))}),
        FunctionTransformer(inverse_func=np.square, inv_kw_args={"out": (np.zeros((1, 3)),)}),
        FunctionTransformer(scipy.linalg.solve, kw_args={"b": np.ones(3), "overwrite_b": True}),
    ],
)  # fmt: skip
def test_of_anybody_else_are_not(part):
    assert stranger(holding(part))


def test_that_hold_each_other_end():
    estimator = holding([])
    estimator.found_.append(estimator)
    assert stranger(estimator) == ""


ROWS = np.random.default_rng(0).normal(size=(20, 2))


@pytest.mark.parametrize(
    "estimator", [LinearRegression(), make_pipeline(OneHotEncoder(handle_unknown="ignore"), SVR()), KMeans(2)]
)
def test_tell_the_precision_of_what_it_was_fitted_on(estimator):
    rows = ROWS.astype(np.float32)
    assert fitted_on_singles(clone(estimator).fit(rows, rows[:, 0]))
    assert not fitted_on_singles(clone(estimator).fit(ROWS, ROWS[:, 0]))


def test_tell_the_precision_of_rows_and_not_of_targets():
    targets = ROWS[:, 0].astype(np.float32)
    assert not fitted_on_singles(LogisticRegression().fit(ROWS, np.sign(targets)))
    assert not fitted_on_singles(TransformedTargetRegressor(transformer=MinMaxScaler()).fit(ROWS, targets))


@pytest.mark.parametrize("scalar", [np.int64, np.float32, np.str_, np.bool_, np.complex128])
def test_do_not_count_where_they_are_plain_scalars(monkeypatch, scalar):
    """A pruned vocabulary has a NumPy integer for every word."""
    monkeypatch.setattr(estimator_parts, "_MOST", 10)
    assert stranger(holding({str(place): scalar(place) for place in range(1000)})) == ""


@pytest.mark.parametrize(
    "told",
    [
        StandardScaler(copy=False),
        make_pipeline(StandardScaler(copy=False)),
        make_pipeline(FunctionTransformer(np.nan_to_num, kw_args={"copy": False})),
        FunctionTransformer(scipy.fft.fft, kw_args={"overwrite_x": True}),
    ],
)
def test_may_be_told_to_write_to_their_rows(told):
    assert overwrites(told)


@pytest.mark.parametrize(
    "told", [StandardScaler(), FunctionTransformer(np.nan_to_num, kw_args={"copy": True}), LinearRegression()]
)
def test_leave_their_rows_alone_unless_told_otherwise(told):
    assert not overwrites(told)
