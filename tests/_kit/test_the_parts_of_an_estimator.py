"""The parts of an estimator are known, or the first that is not is named."""

from collections import deque
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from modelserve._kit.estimator_parts import overwrites, stranger


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
    [1, "text", None, np.arange(3), np.abs, np.float64, np.random.RandomState(0), {"a": [StandardScaler()]}],
)
def test_of_the_libraries_are_known(part):
    assert stranger(holding(part)) == ""


@pytest.mark.parametrize(
    "part",
    [
        Own(), Own, Own().method, lambda rows: rows, NAMELESS["nameless"], partial(np.abs), np,
        [{"a": (Own(),)}], {Own(): 1}, deque([Own()]), np.array([Own()], object),
        FunctionTransformer(Own().method), np.vectorize(lambda row: row),
    ],
)  # fmt: skip
def test_of_anybody_else_are_not(part):
    assert stranger(holding(part))


def test_that_hold_each_other_end():
    estimator = holding([])
    estimator.found_.append(estimator)
    assert stranger(estimator) == ""


def test_may_be_told_to_write_to_their_rows():
    assert overwrites(StandardScaler(copy=False))
    assert not overwrites(StandardScaler())
