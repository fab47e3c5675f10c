"""A LightGBM file ..."""

import re

import lightgbm
import numpy as np
import pytest

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.errors import InvalidPackage
from modelserve.packages import open_package

ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
CLASSES = (ROWS[:, 0] > 0).astype(np.int64)


def refusal(path):
    with pytest.raises(InvalidPackage) as caught:
        open_package(path)
    return caught.value.message


def test_in_a_folder_is_told_from_notes(tmp_path):
    told = {"verbose": -1, "num_threads": 1, "objective": "binary", "min_data_in_leaf": 2}
    lightgbm.train(told, lightgbm.Dataset(ROWS, CLASSES), 2).save_model(tmp_path / "model.txt")
    (tmp_path / "requirements.txt").write_text("lightgbm\n")
    package = open_package(tmp_path)
    assert package.model_file.name == "model.txt"
    assert package.signature.outputs == (TensorSpec("prediction", DataType.FP64, (-1,)),)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("left_child=", "left_child=77 ", "its trees have"),
        ("end of trees", "end of leaves", "it ends too early"),
        ("max_feature_idx=2", "max_feature_idx=x", "invalid literal"),
        ("shrinkage=1", "shrinkage=x", "shrinkage holds what is no number"),
        ("split_gain=", "split_gain:", "stands where a field should"),
        ("internal_count=", "internal_value=", "'internal_value' stands where a field should"),
        ("[num_class: ", "[num_class= ", "stands where a parameter should"),
        ("Column_0=", "Column_0:", "stands where a feature's importance should"),
        ("\npandas_categorical:null\n", "\npandas_categorical:nul\n", "its categories end too early"),
        ("\npandas_categorical:null\n", "\nsomething=else\n", "'something=else' follows its trees"),
        (
            "end of parameters\n\npandas_categorical:null\n",
            "end of parameters",
            "its last line has no end",
        ),
        ("\nend of parameters\n\npandas_categorical:null\n", "\n", "its parameters have no end"),
        ("[max_bin: ", "[max\0bin: ", "it holds control characters"),
        ("\nend of parameters\n", "\nend\n", "its parameters have no end"),
    ],
)
def test_that_was_changed_is_refused(tmp_path, old, new, said):
    told = {"verbose": -1, "num_threads": 1, "objective": "binary", "min_data_in_leaf": 2}
    lightgbm.train(told, lightgbm.Dataset(ROWS, CLASSES), 2).save_model(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_text()
    assert old in text
    place = text.index(old, text.index("end of trees") if "Column_0=" in old else 0)
    (tmp_path / "model.txt").write_text(text[:place] + text[place:].replace(old, new, 1))
    assert said in refusal(tmp_path)


@pytest.mark.parametrize(
    ("field", "new", "said"),
    [
        ("num_cat", "2", "splits on categories that are not there|sets of categories that are not there"),
        ("num_cat", "0", "splits on categories that are not there"),
        ("cat_boundaries", "0 9", "has sets of categories that are not there"),
        ("cat_boundaries", "0 -1", "has sets of categories that are not there"),
        ("cat_threshold", "", "has sets of categories that are not there"),
        ("num_features", "99", "num_features has not"),
        ("leaf_features", "99", "leaf_features has not"),
        ("leaf_coeff", "1", "leaf_coeff has not"),
        ("leaf_const", "1", "leaf_const has not"),
    ],
)
def test_whose_categories_or_sums_are_not_there_is_refused(tmp_path, field, new, said):
    rows = np.random.default_rng(2).normal(size=(300, 3))
    rows[:, 2] = np.arange(300) % 6
    target = (rows[:, 2] % 3 == 0) * 1.0
    told = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "objective": "regression"}
    if "cat" in field:
        told |= {"max_cat_to_onehot": 1, "min_data_per_group": 5, "cat_smooth": 1}
        data = lightgbm.Dataset(rows, target, categorical_feature=[2])
    else:
        told |= {"linear_tree": True}
        data = lightgbm.Dataset(rows, rows[:, 0])
    text = lightgbm.train(told, data, 1).model_to_string()
    (tmp_path / "model.txt").write_text(text)
    assert open_package(tmp_path)
    (old,) = re.findall(rf"\n{field}=.+", text)
    text = text.replace(old, f"\n{field}={new}")
    (size,) = re.findall(r"\ntree_sizes=(\d+)", text)
    size_now = int(size) + len(f"\n{field}={new}") - len(old)
    (tmp_path / "model.txt").write_text(text.replace(f"tree_sizes={size}", f"tree_sizes={size_now}"))
    assert re.search(said, refusal(tmp_path))


def test_with_the_line_ends_of_windows_is_refused_with_a_way_out(tmp_path):
    told = {"verbose": -1, "num_threads": 1, "objective": "binary", "min_data_in_leaf": 2}
    lightgbm.train(told, lightgbm.Dataset(ROWS, CLASSES), 2).save_model(tmp_path / "model.txt")
    content = (tmp_path / "model.txt").read_bytes()
    (tmp_path / "model.txt").write_bytes(content.replace(b"\n", b"\r\n"))
    assert "its lines end as those of Windows" in refusal(tmp_path)


def file_without_sizes(tmp_path):
    """As before 2.0.12, where the engine finds the trees by their lines."""
    told = {"verbose": -1, "num_threads": 1, "objective": "binary", "min_data_in_leaf": 2}
    lightgbm.train(told, lightgbm.Dataset(ROWS, CLASSES), 3).save_model(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_text()
    text = re.sub("\ntree_sizes=.*", "", text).replace("feature_importances:", "feature importances:")
    return text.replace("\nend of trees\n", "").partition("parameters:")[0].rstrip("\n") + "\n"


LINES = [f"\n{name}=" for name in ("num_leaves", "num_cat", "leaf_value", "threshold", "left_child")]


def test_without_the_sizes_of_trees_is_checked_as_well(tmp_path):
    text = file_without_sizes(tmp_path)
    (tmp_path / "model.txt").write_text(text)
    assert open_package(tmp_path)
    for place in range(97, text.index("feature importances:\n"), 97):
        (tmp_path / "model.txt").write_text(text[:place])
        assert "is no whole LightGBM model" in refusal(tmp_path)
    for line in LINES:
        (tmp_path / "model.txt").write_text(re.sub(f"{line}.*", "", text, count=1))
        assert "is no whole LightGBM model" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\n\n\nTree=1\n", "\nTree=1\n", "'Tree=0' has no end"),
        ("\n\n\nTree=1\n", "\n\nTree=2\n", "tree 1 does not begin where it should"),
        ("\nTree=0\n", "\nTree=00\n", "tree 0 does not begin where it should"),
        ("\nTree=0\n", "\ntree=0\n", "'tree' stands where a field should"),
        ("\nthreshold=", "\n\nthreshold=", "tree 1 does not begin where it should"),
        ("\nshrinkage=1\n", "\nshrinkage\n", "'shrinkage' stands where a field should"),
        ("\nshrinkage=1\n", "\n\nshrinkage=1\n", "tree 1 does not begin where it should"),
        (
            "\nshrinkage=1\n",
            "".join(f"\na{index}=1" for index in range(9)) + "\n",
            "'Tree=0' has no end",
        ),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=0", "it has 0 trees per iteration"),
        ("num_class=1\nnum_tree_per_iteration=1\n", "", "'num_class' is missing"),
        ("num_cat=0\n", "", "tree 0 has no num_cat: no engine since 2.0.5 reads such a model"),
    ],
)
def test_without_the_sizes_of_trees_that_was_changed_is_refused(tmp_path, old, new, said):
    text = file_without_sizes(tmp_path)
    assert old in text
    (tmp_path / "model.txt").write_text(text.replace(old, new, 1))
    assert re.search(said, refusal(tmp_path))
