"""A trained file of scikit-learn, XGBoost or PyTorch ..."""

import io
import json
import sys
import zipfile

import numpy as np
import pytest
import skops.io
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import Runtime, Task
from modelserve.errors import InvalidPackage, Unavailable
from modelserve.packages import open_package

ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
CLASSES = (ROWS[:, 0] > 0).astype(np.int64)
MATRIX = TensorSpec("input", DataType.FP32, (-1, 3))


def refusal(path, *asked):
    with pytest.raises(InvalidPackage) as caught:
        open_package(path, *asked)
    return caught.value.message


def save_skops(folder, model, name="model.skops"):
    skops.io.dump(model, folder / name)
    return folder / name


def save_booster(folder, name, **told):
    model = xgboost.train({"nthread": 1} | told, xgboost.DMatrix(ROWS, CLASSES), 2)
    model.save_model(folder / name)
    return model


def declare(folder, text):
    (folder / "modelserve.yaml").write_text(text)


def test_alone_is_a_package_too(tmp_path):
    package = open_package(save_skops(tmp_path, LogisticRegression().fit(ROWS, CLASSES)))
    assert (package.layout, package.runtime, package.task) == ("sklearn", Runtime.SKLEARN, Task.TENSOR)
    assert package.signature.inputs == (MATRIX,)


def test_can_not_be_asked_for_labels(tmp_path):
    save_booster(tmp_path, "model.ubj")
    assert "task image-classification needs labels" in refusal(tmp_path, Task.IMAGE_CLASSIFICATION)


def test_must_be_the_only_one(tmp_path):
    save_booster(tmp_path, "model.ubj")
    save_booster(tmp_path, "model.json")
    assert "holds model.json, model.ubj; keep one .ubj or .json file" in refusal(tmp_path)


def test_beside_one_for_another_engine_is_chosen_by_the_spec(tmp_path):
    save_booster(tmp_path, "model.ubj")
    save_skops(tmp_path, LogisticRegression().fit(ROWS, CLASSES))
    assert "holds models for sklearn and xgboost; keep one, or choose with spec.model.runtime" in refusal(
        tmp_path
    )
    assert open_package(tmp_path, runtime=Runtime.XGBOOST).layout == "xgboost"
    assert "asks for runtime onnx, but this is a model for sklearn and xgboost" in refusal(
        tmp_path, None, Runtime.ONNX
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.pth", "a .pth file is a checkpoint; save the program with torch.export.save()"),
        ("model.safetensors", "weights alone are no model; export it with `optimum-cli export onnx"),
        ("model.h5", "Keras models are not run; convert it with tf2onnx"),
        ("notes.txt", "not a model package; give a Hugging Face folder"),
    ],
)
def test_of_another_kind_is_refused_with_a_way_out(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"x")
    assert said in refusal(tmp_path)


class TestOfXgboost:
    @pytest.mark.parametrize(
        ("told", "shape"),
        [
            ({"objective": "binary:logistic"}, (-1,)),
            ({"objective": "reg:squarederror"}, (-1,)),
            ({"objective": "multi:softprob", "num_class": 4}, (-1, 4)),
            ({"objective": "multi:softmax", "num_class": 4}, (-1,)),
            ({"booster": "dart"}, (-1,)),
            ({"booster": "gblinear"}, (-1,)),
        ],
    )
    @pytest.mark.parametrize("name", ["model.ubj", "model.json"])
    def test_tells_its_output(self, tmp_path, name, told, shape):
        booster = save_booster(tmp_path, name, **told)
        output = open_package(tmp_path).signature.outputs
        assert output == (TensorSpec("prediction", DataType.FP32, shape),)
        assert booster.predict(xgboost.DMatrix(ROWS)).shape[1:] == shape[1:]

    def test_is_not_confused_with_a_configuration(self, tmp_path):
        save_booster(tmp_path, "model.json")
        (tmp_path / "training.json").write_text('{"learning_rate": 0.1}')
        assert open_package(tmp_path).model_file.name == "model.json"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda tree: tree["left_children"].__setitem__(0, 99), "a branch to a node that is not there"),
            (lambda tree: tree["split_indices"].__setitem__(0, 77), "on a feature that is not there"),
            (lambda tree: tree["left_children"].append(1), "lists of"),
            (lambda tree: tree["right_children"].__setitem__(0, -1), "a branch to a node that is not"),
            (lambda tree: tree.pop("split_conditions"), "'split_conditions' is missing"),
        ],
    )
    def test_that_points_outside_of_itself_is_refused(self, tmp_path, change, said):
        save_booster(tmp_path, "model.json")
        document = json.loads((tmp_path / "model.json").read_text())
        change(document["learner"]["gradient_booster"]["model"]["trees"][0])
        (tmp_path / "model.json").write_text(json.dumps(document))
        message = refusal(tmp_path)
        assert message.startswith("model.json: is no whole XGBoost model (")
        assert said in message

    @pytest.mark.parametrize("mark", [b"binf", b""])
    def test_in_the_old_binary_format_is_refused_with_a_way_out(self, tmp_path, mark):
        objective = b"reg:squarederror"
        head = mark + bytes(136) + len(objective).to_bytes(8, "little") + objective
        (tmp_path / "model.ubj").write_bytes(head + bytes(500))
        message = refusal(tmp_path)
        assert message.startswith("model.ubj: is in XGBoost's old binary format, which is no longer read")
        assert message.endswith("save it as .ubj or .json")

    @pytest.mark.parametrize("name", ["model.bst", "model.model"])
    def test_under_another_name_is_told_how_to_be_called(self, tmp_path, name):
        save_booster(tmp_path, "model.ubj").save_model(tmp_path / name)
        assert "call it .ubj or .json, after its format" in refusal(tmp_path / name)

    def test_that_is_named_otherwise_than_its_columns_are_keeps_the_order_of_the_file(self, tmp_path):
        data = xgboost.DMatrix(ROWS, CLASSES, feature_names=["a", "b", "c"])
        xgboost.train({"nthread": 1}, data, 2).save_model(tmp_path / "model.ubj")
        column = "{{name: {}, datatype: FP32, shape: [-1]}}"
        for told, order in (("cab", "abc"), ("xyz", "xyz"), ("abz", "abz")):
            declare(tmp_path, f"signature: {{inputs: [{', '.join(map(column.format, told))}]}}")
            assert "".join(spec.name for spec in open_package(tmp_path).signature.inputs) == order


class TestOfScikitLearn:
    def test_tells_labels_and_probabilities(self, tmp_path):
        names = np.array(["cold", "warm"])[CLASSES]
        save_skops(tmp_path, make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, names))
        assert open_package(tmp_path).signature.outputs == (
            TensorSpec("label", DataType.BYTES, (-1,)),
            TensorSpec("probabilities", DataType.FP32, (-1, 2)),
        )
        declare(tmp_path, "signature: {inputs: [{name: input, datatype: FP64, shape: [-1, 3]}]}")
        assert open_package(tmp_path).signature.outputs[1].datatype is DataType.FP64

    def test_without_probabilities_tells_the_label_alone(self, tmp_path):
        save_skops(tmp_path, RandomForestRegressor(3).fit(ROWS, ROWS[:, 0]))
        assert open_package(tmp_path).signature.outputs == (TensorSpec("label", DataType.FP64, (-1,)),)

    def test_may_take_text(self, tmp_path):
        model = make_pipeline(CountVectorizer(), MultinomialNB()).fit(["good day", "bad day"], [1, 0])
        save_skops(tmp_path, model)
        assert "does not say how many features it takes" in refusal(tmp_path)
        declare(tmp_path, "signature: {inputs: [{name: text, datatype: BYTES, shape: [-1]}]}")
        signature = open_package(tmp_path).signature
        assert signature.inputs == (TensorSpec("text", DataType.BYTES, (-1,)),)
        assert [spec.name for spec in signature.outputs] == ["label", "probabilities"]

    def test_that_does_not_predict_is_refused(self, tmp_path):
        save_skops(tmp_path, StandardScaler().fit(ROWS))
        assert "holds a StandardScaler, which has no predict()" in refusal(tmp_path)

    def test_of_types_that_nobody_vouches_for_is_refused_and_not_built(self, tmp_path):
        save_skops(tmp_path, KNeighborsClassifier().fit(ROWS, CLASSES))
        message = refusal(tmp_path)
        assert "types that are not known to be safe, and so are not built: sklearn.metrics" in message
        assert "convert it to ONNX with skl2onnx" in message

    @pytest.mark.parametrize("model", [RandomForestRegressor(2), HistGradientBoostingClassifier(max_iter=2)])
    def test_with_a_tree_that_points_outside_of_itself_is_refused(self, tmp_path, model):
        rows = np.vstack([ROWS] * 3)
        path = save_skops(tmp_path, model.fit(rows, np.hstack([CLASSES] * 3)))
        assert open_package(tmp_path)
        point_elsewhere(path)
        assert "a tree with a branch to a node that is not there" in refusal(tmp_path)

    def test_needs_skops_to_be_read(self, tmp_path, monkeypatch):
        save_skops(tmp_path, LogisticRegression().fit(ROWS, CLASSES))
        monkeypatch.setitem(sys.modules, "skops.io", None)
        with pytest.raises(Unavailable, match=r"pip install 'modelserve\[sklearn\]'"):
            open_package(tmp_path)

    def test_in_a_pickle_is_not_opened(self, tmp_path):
        (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
        assert "is a pickle, which is not read before the operator allows it; save it" in refusal(tmp_path)
        tensor = "[{name: x, datatype: FP32, shape: [-1, 3]}]"
        declare(tmp_path, f"signature: {{inputs: {tensor}, outputs: {tensor}}}")
        assert open_package(tmp_path).pickled


def point_elsewhere(path):
    """Give every node of every tree a left branch to node 9999."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for name, content in entries.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(content), allow_pickle=False)
            for field in {"left", "left_child"} & set(array.dtype.names or ()):
                array[field][: len(array) // 2] = 9999
                buffer = io.BytesIO()
                np.save(buffer, array)
                entries[name] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


class TestDeclaration:
    @pytest.fixture
    def declared(self, tmp_path):
        save_booster(tmp_path, "model.ubj")

        def of(inputs):
            declare(tmp_path, f"signature: {{inputs: [{inputs}]}}")
            return open_package(tmp_path).signature.inputs

        return of

    def test_may_rename_and_widen_the_matrix(self, declared):
        assert declared("{name: x, datatype: FP64, shape: [-1, 3]}") == (
            TensorSpec("x", DataType.FP64, (-1, 3)),
        )

    def test_may_split_the_matrix_into_columns(self, declared):
        found = declared(
            "{name: age, datatype: INT64, shape: [-1]}, {name: rest, datatype: FP32, shape: [-1, 2]}"
        )
        assert [(spec.name, spec.shape) for spec in found] == [("age", (-1,)), ("rest", (-1, 2))]

    def test_may_say_that_values_are_missing(self, declared):
        found = declared(
            "{name: a, datatype: FP64, shape: [-1], optional: true}, "
            "{name: b, datatype: FP32, shape: [-1, 2], nullable: true}"
        )
        assert [(spec.nullable, spec.optional) for spec in found] == [(True, True), (True, False)]

    def test_of_outputs_can_not_say_that_they_are_missing(self, tmp_path):
        save_booster(tmp_path, "model.ubj")
        declare(tmp_path, "signature: {outputs: [{name: y, datatype: FP32, shape: [-1], optional: true}]}")
        assert "'y' is an output; nullable and optional are for inputs" in refusal(tmp_path)

    @pytest.mark.parametrize(
        ("inputs", "said"),
        [
            (
                "{name: x, datatype: FP32, shape: [-1, 4]}",
                "declares 4 columns, but model.ubj takes 3",
            ),
            ("{name: x, datatype: BYTES, shape: [-1, 3]}", "BYTES declared for 'x'; a matrix holds numbers"),
            ("{name: x, datatype: FP32, shape: [-1, -1]}", "[-1, -1] declared for 'x'; a column is [-1]"),
            (
                "{name: x, datatype: FP32, shape: [-1, 2]}, {name: x, datatype: FP32, shape: [-1]}",
                "modelserve.yaml: signature.inputs: declares 'x' twice; keep one",
            ),
            (
                "{name: x, datatype: INT64, shape: [-1, 3], nullable: true}",
                "modelserve.yaml: signature.inputs[0]: {'datatype': 'INT64', 'name': 'x'",
            ),
            (
                "{name: x, datatype: INT64, shape: [-1, 3], optional: true}",
                "NaN stands for what is missing, and INT64 has none; use FP32 or FP64",
            ),
            (
                "{name: x, datatype: FP32, shape: [-1, -1], optional: true}",
                "an optional input needs a known length for every axis but the first",
            ),
            (
                "{name: x, datatype: FP32, shape: [-1, 3], optional: 1}",
                "signature.inputs[0].optional: 1: input should be a valid boolean",
            ),
        ],
    )
    def test_must_fit_the_model(self, declared, inputs, said):
        with pytest.raises(InvalidPackage) as caught:
            declared(inputs)
        assert said in caught.value.message


class TestOfPytorch:
    """What is told without PyTorch; tests/pytorch runs what is served."""

    def zipped(self, folder, entries, name="model.pt"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for entry, content in entries.items():
                archive.writestr(f"model/{entry}", content)
        return folder / name

    def test_that_is_a_checkpoint_is_refused(self, tmp_path):
        path = self.zipped(tmp_path, {"data.pkl": b"", "version": b"3"})
        assert "is a checkpoint (torch.save), which holds weights and no program" in refusal(path)

    def test_without_a_signature_is_told_to_declare_one(self, tmp_path):
        script = {"data.pkl": b"", "constants.pkl": b"", "code/__torch__.py": b"class M(Module):\n  pass\n"}
        path = self.zipped(tmp_path, script)
        assert "does not tell its inputs; declare them in modelserve.yaml beside it" in refusal(path)

    @pytest.mark.parametrize("call", ["torch.from_file(n)", "torch.save(x, n)", "torch . save(x)"])
    def test_whose_script_touches_files_is_refused(self, tmp_path, call):
        script = {"constants.pkl": b"", "code/__torch__.py": f"def f(x):\n  return {call}\n".encode()}
        assert "which touches files" in refusal(self.zipped(tmp_path, script))

    def test_of_text_is_refused(self, tmp_path):
        self.zipped(tmp_path, {})
        declare(tmp_path, "signature: {inputs: [{name: x, datatype: BYTES, shape: [-1]}]}")
        assert "signature.inputs[0].datatype: BYTES declared for 'x'" in refusal(tmp_path)
