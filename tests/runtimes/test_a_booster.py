"""A booster ..."""

import lightgbm
import numpy as np
import pytest
import xgboost

RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(300, 4)).astype(np.float32)
ROWS[:, 3] = RNG.integers(0, 6, 300)
ROWS[::7, 1] = np.nan
VALUES = np.where(ROWS[:, 3] > 2, ROWS[:, 0], -ROWS[:, 2]).astype(np.float32)
CLASSES = (VALUES > 0).astype(int)


def given(model):
    (spec,) = model.signature.inputs
    return {spec.name: ROWS.astype(spec.datatype.numpy)}


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ({"objective": "regression", "linear_tree": True}, VALUES),
        ({"objective": "binary", "categorical_feature": [3], "max_cat_to_onehot": 1}, CLASSES),
        ({"objective": "binary", "boosting": "dart"}, CLASSES),
        ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, CLASSES),
        ({"objective": "regression", "min_data_in_leaf": 1000}, VALUES),
        ({"objective": "regression", "monotone_constraints": [1, 0, 0, 0]}, VALUES),
        ({"objective": "multiclassova", "num_class": 2}, CLASSES),
    ],
    ids=["linear", "categories", "dart", "forest", "stump", "monotone", "classes"],
)
def test_of_lightgbm_answers_as_it_was_trained(opened, tmp_path, told, target):
    always = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lightgbm.train(always | told, lightgbm.Dataset(ROWS, target), 4)
    booster.save_model(tmp_path / "model.txt")
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, booster.predict(ROWS), rtol=1e-6)


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ({"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.2}, VALUES),
        ({"objective": "reg:squarederror", "booster": "gblinear"}, VALUES),
        ({"objective": "reg:squarederror", "grow_policy": "lossguide", "max_leaves": 6}, VALUES),
        ({"objective": "binary:logistic", "num_parallel_tree": 3, "subsample": 0.5}, CLASSES),
        ({"objective": "multi:softprob", "num_class": 3}, CLASSES),
        ({"objective": "reg:squarederror"}, np.stack([VALUES, -VALUES], axis=1)),
        ({"multi_strategy": "multi_output_tree"}, np.stack([VALUES, -VALUES], axis=1)),
        ({"objective": "binary:logistic", "gamma": 1e9}, CLASSES),
    ],
    ids=["dart", "linear", "lossguide", "forest", "classes", "targets", "vectors", "stump"],
)
@pytest.mark.parametrize("file", ["model.ubj", "model.json"])
def test_of_xgboost_answers_as_it_was_trained(opened, tmp_path, told, target, file):
    rows = np.nan_to_num(ROWS) if told.get("booster") == "gblinear" else ROWS
    booster = xgboost.train({"nthread": 1, "max_depth": 3} | told, xgboost.DMatrix(rows, target), 4)
    booster.save_model(tmp_path / file)
    with opened(tmp_path) as model:
        (spec,) = model.signature.inputs
        answer = model.predict({spec.name: rows})["prediction"]
    known = booster.predict(xgboost.DMatrix(rows))
    np.testing.assert_allclose(answer, known, rtol=1e-5, atol=1e-6)


def test_of_xgboost_splits_on_categories(opened, tmp_path):
    kinds = ["q", "q", "q", "c"]
    data = xgboost.DMatrix(ROWS, CLASSES, feature_types=kinds, enable_categorical=True)
    booster = xgboost.train({"nthread": 1, "max_cat_to_onehot": 1, "objective": "binary:logistic"}, data, 4)
    booster.save_model(tmp_path / "model.ubj")
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, booster.predict(data), rtol=1e-5)


def test_of_xgboost_that_stopped_early_answers_with_its_best_rounds(opened, tmp_path):
    noise = RNG.integers(0, 2, 300)
    classifier = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=5, n_jobs=1)
    classifier.fit(ROWS[:200], noise[:200], eval_set=[(ROWS[200:], noise[200:])], verbose=False)
    assert classifier.best_iteration < classifier.get_booster().num_boosted_rounds() - 1
    classifier.save_model(tmp_path / "model.ubj")
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, classifier.predict_proba(ROWS)[:, 1], rtol=1e-5)
