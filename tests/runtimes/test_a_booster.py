"""A booster ..."""

import ctypes
import json
import re

import lightgbm
import numpy as np
import pytest
import xgboost

from modelserve.errors import InvalidInput, ModelFailed

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


TIMES = 1_700_000_000 + RNG.integers(0, 400, 2000)
WHOLE = np.stack([TIMES, TIMES % 7], axis=1)
COLUMNS = "{name: ts, datatype: INT64, shape: [-1]}, {name: day, datatype: INT64, shape: [-1]}"
MATRIX = "{name: x, datatype: INT64, shape: [-1, 2]}"


def test_of_lightgbm_takes_doubles(opened, tmp_path):
    booster = lightgbm.train(
        {"verbose": -1}, lightgbm.Dataset(WHOLE.astype(np.float64), TIMES % 100 > 50), 30
    )
    booster.save_model(tmp_path / "model.txt")
    with opened(tmp_path) as model:
        (spec,) = model.signature.inputs
        answer = model.predict({"input": WHOLE.astype(spec.datatype.numpy)})["prediction"]
    np.testing.assert_allclose(answer, booster.predict(WHOLE.astype(np.float64)))


@pytest.mark.parametrize("inputs", [MATRIX, COLUMNS])
def test_of_lightgbm_tells_large_whole_numbers_apart(opened, tmp_path, inputs):
    """Above 2^24 single precision does not."""
    data = lightgbm.Dataset(WHOLE.astype(np.float64), TIMES % 100 > 50)
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, data, 30)
    booster.save_model(tmp_path / "model.txt")
    (tmp_path / "modelserve.yaml").write_text(f"signature: {{inputs: [{inputs}]}}")
    with opened(tmp_path) as model:
        columns = {"x": WHOLE, "ts": WHOLE[:, 0], "day": WHOLE[:, 1]}
        answer = model.predict({spec.name: columns[spec.name] for spec in model.signature.inputs})
    np.testing.assert_allclose(answer["prediction"], booster.predict(WHOLE.astype(np.float64)), rtol=1e-9)


def test_of_xgboost_takes_large_whole_numbers_as_its_library_does(opened, tmp_path):
    """In single precision: it keeps no other."""
    booster = xgboost.train({"nthread": 1, "max_depth": 3}, xgboost.DMatrix(WHOLE, TIMES % 100 > 50), 4)
    booster.save_model(tmp_path / "model.ubj")
    (tmp_path / "modelserve.yaml").write_text(f"signature: {{inputs: [{COLUMNS}]}}")
    with opened(tmp_path) as model:
        answer = model.predict({"ts": WHOLE[:, 0], "day": WHOLE[:, 1]})
    np.testing.assert_array_equal(answer["prediction"], booster.predict(xgboost.DMatrix(WHOLE)))


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


NAMES = ["age", "income of a year", "größe", "kind"]
TYPES = {"names": None, "numbers": ["q", "float", "q", "int"], "an indicator": ["q", "q", "q", "i"]}


@pytest.mark.parametrize("kinds", TYPES.values(), ids=TYPES.keys())
@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
@pytest.mark.parametrize("file", ["model.ubj", "model.json"])
def test_of_xgboost_trained_on_named_columns_takes_a_plain_matrix(opened, tmp_path, booster, kinds, file):
    """As in dmlc/xgboost#2334: a data frame gives every booster names."""
    rows = np.nan_to_num(ROWS)
    data = xgboost.DMatrix(rows, VALUES, feature_names=NAMES, feature_types=kinds)
    trained = xgboost.train({"nthread": 1, "booster": booster}, data, 4)
    trained.save_model(tmp_path / file)
    with opened(tmp_path) as model:
        answer = model.predict({"input": rows})["prediction"]
    np.testing.assert_allclose(answer, trained.predict(data), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, xgboost.XGBRegressor])
@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_of_the_scikit_learn_wrapper_takes_a_plain_matrix(opened, tmp_path, kind, booster):
    rows = np.nan_to_num(ROWS)
    wrapper = kind(n_estimators=4, booster=booster, n_jobs=1, base_score=0.4).fit(rows, CLASSES)
    known = wrapper.predict_proba(rows)[:, 1] if kind is xgboost.XGBClassifier else wrapper.predict(rows)
    wrapper.get_booster().feature_names = NAMES
    wrapper.save_model(tmp_path / "model.json")
    with opened(tmp_path) as model:
        answer = model.predict({"input": rows})["prediction"]
    np.testing.assert_allclose(answer, known, rtol=1e-5, atol=1e-6)


def test_of_xgboost_that_was_trained_from_a_margin_answers_without_one(opened, tmp_path):
    data = xgboost.DMatrix(ROWS, VALUES, base_margin=np.full(len(ROWS), 5.0))
    trained = xgboost.train({"nthread": 1}, data, 4)
    trained.save_model(tmp_path / "model.ubj")
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, trained.predict(xgboost.DMatrix(ROWS)), rtol=1e-5)


def test_of_xgboost_answers_with_all_rounds_where_the_best_one_is_gone(opened, tmp_path):
    trained = xgboost.train({"nthread": 1}, xgboost.DMatrix(ROWS, VALUES), 4)
    trained.set_attr(best_iteration="9")
    trained.save_model(tmp_path / "model.ubj")
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, trained.predict(xgboost.DMatrix(ROWS)), rtol=1e-5)


def test_of_xgboost_takes_several_linear_outputs(opened, tmp_path):
    rows, targets = np.nan_to_num(ROWS), np.stack([VALUES, -VALUES], axis=1)
    data = xgboost.DMatrix(rows, targets, feature_names=NAMES)
    trained = xgboost.train({"nthread": 1, "booster": "gblinear"}, data, 4)
    trained.save_model(tmp_path / "model.ubj")
    with opened(tmp_path) as model:
        answer = model.predict({"input": rows})["prediction"]
    np.testing.assert_allclose(answer, trained.predict(data), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_that_fails_on_infinity_blames_the_input(opened, tmp_path, value):
    rows = np.nan_to_num(ROWS)
    told = {"nthread": 1, "booster": "gblinear"}
    xgboost.train(told, xgboost.DMatrix(rows, VALUES), 2).save_model(tmp_path / "model.ubj")
    rows[5, 2] = value
    with opened(tmp_path) as model:
        with pytest.raises(
            InvalidInput, match=f"input 'input': row 5 holds {value}; this model does not take"
        ):
            model.predict({"input": rows})
        with pytest.raises(ModelFailed):
            model.predict({"input": np.ones((1, 9), np.float32)})


CATEGORIES = {"objective": "binary", "max_cat_to_onehot": 1, "min_data_per_group": 5, "cat_smooth": 1}
KINDS = np.where(np.isin(ROWS[:, 3], (1, 4)), 1, 0)
"""Told apart by a set of categories alone."""


def categorical(told):
    """How the engine is told which columns are categories; it ignores that among the parameters."""
    return {"categorical_feature": [3] if told is CATEGORIES else "auto"}


@pytest.mark.parametrize("told", [{"objective": "regression"}, CATEGORIES], ids=["numbers", "categories"])
def test_of_lightgbm_trained_on_named_columns_takes_a_plain_matrix(opened, tmp_path, told):
    names = [name.replace(" ", "_") for name in NAMES]
    data = lightgbm.Dataset(ROWS, KINDS, feature_name=names, **categorical(told))
    booster = lightgbm.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5} | told, data, 4)
    booster.pandas_categorical = [["a", "b", "ß"]]  # as a data frame leaves it behind
    booster.save_model(tmp_path / "model.txt")
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, booster.predict(ROWS), rtol=1e-6)


def by_the_engine_alone(booster, path):
    """As the command line, R, the C API and SynapseML save."""
    file = ctypes.c_char_p(str(path).encode())
    assert lightgbm.basic._LIB.LGBM_BoosterSaveModel(booster._handle, 0, -1, 0, file) == 0


def version_2_1(text):
    """Without "end of trees" and "end of parameters"."""
    text = text.replace("\nend of trees\n\nfeature_importances:", "\n\nfeature importances:")
    return text.partition("\nend of parameters")[0].replace("\n\nparameters:", "\nparameters:")


NEWER = "version|tree_sizes|leaf_weight|internal_weight|is_linear"


def version_2_0(text, newer=NEWER):
    """Without parameters and the fields that came later; more lines stand empty between trees."""
    text = version_2_1(text).partition("parameters:")[0]
    found, count = re.subn(rf"(?m)^(?:{newer})=.*\n", "", text)
    assert count >= len(newer.split("|"))
    return found.replace("\nTree=", "\n\nTree=")


OLDER = {
    "as it is": lambda text: text,
    "2.2": lambda text: text.replace("feature_importances:", "feature importances:"),
    "2.1": version_2_1,
    "2.0": lambda text: version_2_0(text, f"{NEWER}|num_tree_per_iteration"),
    "2.0.11": version_2_0,
    "2.0.11, by Python": lambda text: version_2_0(text) + "\npandas_categorical:null",
    "without sizes": lambda text: re.sub("\ntree_sizes=.*", "", text),
    "without parameters": lambda text: text.partition("\nparameters:")[0],
    "without importances": lambda text: text.partition("\nfeature_importances:")[0],
    "with a parser": lambda text: text + '\nparser:\n{"className": "Own"}\nend of parser\n',
    "through Spark": lambda text: text + "\n\n",
}


@pytest.mark.parametrize("older", OLDER.values(), ids=OLDER.keys())
@pytest.mark.parametrize("told", [{"objective": "binary"}, CATEGORIES], ids=["numbers", "categories"])
def test_of_lightgbm_that_python_did_not_write_is_served(opened, tmp_path, told, older):
    """As in NVIDIA/cuml#4824 and lightgbm-org/LightGBM#1766."""
    always = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lightgbm.train(always | told, lightgbm.Dataset(ROWS, KINDS, **categorical(told)), 4)
    by_the_engine_alone(booster, tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_text()
    assert text.endswith("\nend of parameters\n")
    assert ("cat_threshold=" in text) is (told is CATEGORIES)
    (tmp_path / "model.txt").write_text(older(text))
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, booster.predict(ROWS), rtol=1e-6)


def test_of_lightgbm_2_0_tells_its_classes(opened, tmp_path):
    always = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    kinds = ROWS[:, 3].astype(int) % 3
    told = {"objective": "multiclass", "num_class": 3}
    booster = lightgbm.train(always | told, lightgbm.Dataset(ROWS, kinds), 4)
    by_the_engine_alone(booster, tmp_path / "model.txt")
    older = version_2_0((tmp_path / "model.txt").read_text(), f"{NEWER}|num_tree_per_iteration")
    (tmp_path / "model.txt").write_text(older)
    with opened(tmp_path) as model:
        answer = model.predict(given(model))["prediction"]
    np.testing.assert_allclose(answer, booster.predict(ROWS), rtol=1e-6)


def before_1_4(learner):
    """Before targets, names of features and lists of base scores."""
    parameters = learner["learner_model_param"]
    parameters["base_score"] = parameters["base_score"].strip("[]")
    for name in ("num_target", "boost_from_average"):
        parameters.pop(name)
    learner.pop("feature_names")
    learner.pop("feature_types")


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
@pytest.mark.parametrize("version", [[1, 7, 6], [2, 1, 4]])
def test_of_an_older_xgboost_is_served(opened, tmp_path, booster, version):
    rows = np.nan_to_num(ROWS)
    told = {"nthread": 1, "booster": booster, "base_score": 0.25}
    trained = xgboost.train(told, xgboost.DMatrix(rows, VALUES), 4)
    document = json.loads(trained.save_raw("json"))
    if version[0] == 1:
        before_1_4(document["learner"])
        inner = document["learner"]["gradient_booster"]
        for model in [inner["gbtree"]["model"]] if booster == "dart" else [inner["model"]]:
            model.pop("iteration_indptr", None)
            model.pop("cats", None)
    turned = {"version": version, "learner": document["learner"]}
    (tmp_path / "model.json").write_text(json.dumps(turned, indent=2))
    with opened(tmp_path) as model:
        answer = model.predict({"input": rows})["prediction"]
    np.testing.assert_allclose(answer, trained.predict(xgboost.DMatrix(rows)), rtol=1e-5, atol=1e-6)
