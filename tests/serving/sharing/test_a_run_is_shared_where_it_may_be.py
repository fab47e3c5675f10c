"""Which models' requests may share a run, as the real loading and warm-up find out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelserve.batching.sharing import TOGETHER, Sharing
from modelserve.errors import InvalidPackage, Unavailable
from modelserve.runtimes.onnx import OnnxModel

from ..conftest import Starter
from . import random_graphs
from .conftest import Warm
from .drawing import CODE, WAY_OUT, declared

MODELS = Path(__file__).resolve().parents[3] / "models"


def test_of_the_bundled_models(warm: Warm) -> None:
    for name in ("bert-ner-1", "bert-ner-2", "resnet-digits-1", "resnet-digits-2"):
        assert warm(MODELS / name).sharing == TOGETHER


def test_also_where_no_batch_is_larger_than_one_row(warm: Warm, tmp_path: Path) -> None:
    random_graphs.independent(tmp_path / "good.onnx", 1)
    random_graphs.dependent(tmp_path / "bad.onnx", 1, "sums")
    assert warm(tmp_path / "good.onnx", max_batch=1).sharing == TOGETHER
    assert not warm(tmp_path / "bad.onnx", max_batch=1).sharing.rows


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("batch", "rows"), 'input "x" calls its first axis "batch", and output "y" "rows"'),
        ((None, None), 'the first axis of input "x" has no name, so it may not count rows'),
    ],
)  # fmt: skip
def test_only_where_the_owner_says_so_if_names_say_nothing(
    warm: Warm, tmp_path: Path, names: Any, why: str
) -> None:
    def model(path: Path) -> None:
        random_graphs.independent(path, 3, names)

    told = warm(declared(tmp_path / "silent", "", model)).sharing
    assert told == Sharing(False, False, f"{why}; {WAY_OUT}")
    assert warm(declared(tmp_path / "said", "batching: true", model)).sharing == TOGETHER
    assert warm(tmp_path / "silent", batching=True).sharing == TOGETHER, "the spec says so"
    assert not warm(tmp_path / "said", batching=False).sharing.rows, "the spec beats the package"


@pytest.mark.parametrize("word", ["none", "false"])
def test_by_nobody_where_the_owner_says_so(warm: Warm, tmp_path: Path, word: str) -> None:
    package = declared(tmp_path / "m", f"batching: {word}", lambda path: random_graphs.independent(path, 1))
    loaded = warm(package)
    assert loaded.sharing == Sharing(False, False, "its owner says batching: none")


def test_not_against_a_trial_which_the_owner_is_told_with_its_numbers(warm: Warm, tmp_path: Path) -> None:
    package = declared(
        tmp_path / "m", "batching: true", lambda path: random_graphs.dependent(path, 1, "sums")
    )
    with pytest.raises(InvalidPackage, match=r'batching: true .*: output "y" changes in company by [\d.]+%'):
        warm(package)


def test_by_models_that_take_only_some_inputs(warm: Warm, tmp_path: Path) -> None:
    """Code that wants positive amounts, and one input that must be one."""
    (tmp_path / "model.py").write_text(
        "class Model:\n"
        "    def load(self, folder):\n        pass\n"
        "    def predict(self, inputs):\n"
        "        if (inputs['x'] < 0).any() or (inputs['one'] != 1).any():\n"
        "            raise ValueError('not such')\n"
        "        return {'y': inputs['x'] * 2}\n"
    )
    (tmp_path / "modelserve.yaml").write_text(
        "signature:\n  inputs:\n  - {name: x, datatype: FP32, shape: [-1, 2]}\n"
        "  - {name: one, datatype: INT64, shape: [-1, 2]}\n"
        "  outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]"
    )
    assert warm(tmp_path, allow_code=True).sharing.rows


def test_of_what_scikit_learn_trained_but_not_of_a_step_that_looks_at_the_batch(
    warm: Warm, tmp_path: Path
) -> None:
    joblib = pytest.importorskip("joblib")
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler, minmax_scale

    x = np.random.default_rng(0).normal(size=(50, 3))
    for name, step, rows in (
        ("fine", StandardScaler(), True),
        ("mixing", FunctionTransformer(minmax_scale), False),
    ):
        folder = tmp_path / name
        folder.mkdir()
        joblib.dump(make_pipeline(step, LinearRegression()).fit(x, x[:, 0]), folder / "model.joblib")
        (folder / "modelserve.yaml").write_text(
            "signature: {inputs: [{name: input, datatype: FP64, shape: [-1, 3]}],"
            " outputs: [{name: predict, datatype: FP64, shape: [-1]}]}"
        )
        assert warm(folder, allow_pickle=True).sharing.rows is rows


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_of_trees(warm: Warm, tmp_path: Path, library: str) -> None:
    engine = pytest.importorskip(library)
    x = np.random.default_rng(0).normal(size=(200, 3))
    if library == "xgboost":
        engine.train({}, engine.DMatrix(x, x[:, 0]), 3).save_model(tmp_path / "model.ubj")
    else:
        engine.train({"verbose": -1}, engine.Dataset(x, x[:, 0]), 3).save_model(tmp_path / "model.txt")
    assert warm(next(tmp_path.glob("model.*"))).sharing == TOGETHER


@pytest.mark.parametrize(
    ("answer", "rows"), [("x * 2", True), ("x - x.mean(axis=0)", False), ("x + Model.seen", False)]
)
def test_of_code_of_a_package(warm: Warm, tmp_path: Path, answer: str, rows: bool) -> None:
    """It runs in a process of its own; the last keeps something in mind."""
    (tmp_path / "model.py").write_text(CODE % f"({answer}).astype('float32')")
    tensor = "datatype: FP32, shape: [-1, 2]"
    (tmp_path / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert warm(tmp_path, allow_code=True).sharing.rows is rows
    if not rows:
        with pytest.raises(InvalidPackage, match=r"batching: true .* by [\d.]+"):
            warm(tmp_path, allow_code=True, batching=True)


def test_of_a_server_elsewhere_only_if_the_owner_says_so(
    warm: Warm, start: Starter, tmp_path: Path, onnx_models: dict[str, Path]
) -> None:
    """The protocol has no names for axes; the other server forms batches of its own."""
    url = start(onnx_models["double"]).ready()
    tensor = {"datatype": "FP32", "shape": [-1, 2]}
    content = {
        "url": f"{url}/v2/models/m",
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
    }
    (tmp_path / "external.json").write_text(json.dumps(content))
    assert "has no name" in warm(tmp_path).sharing.why
    assert warm(tmp_path, batching=True).sharing == TOGETHER


def test_not_on_the_word_of_an_engine_that_was_away(warm: Warm, tmp_path: Path, monkeypatch: Any) -> None:
    """What could not be tried is no proof: not against an owner's word either."""
    random_graphs.independent(tmp_path / "m.onnx", 1)

    def away(model: OnnxModel, tensors: Any, outputs: Any = ()) -> Any:
        if len(tensors["x"]) > 1:
            raise Unavailable("the engine is out of reach")
        return predict(model, tensors, outputs)

    predict = OnnxModel.predict
    monkeypatch.setattr(OnnxModel, "predict", away)
    assert warm(tmp_path / "m.onnx").doubts == ("the warm-up failed: the engine is out of reach",)
    assert warm(tmp_path / "m.onnx", batching=True).sharing == TOGETHER
