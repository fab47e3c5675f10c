"""An MLflow folder ..."""

import json

import numpy as np
import pytest
import skops.io
import yaml

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidPackage
from modelserve.packages import open_package

PYFUNC = {"python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl"}}
COLUMNS = [{"type": "double", "name": name, "required": True} for name in ("age", "height", "weight")]
TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]


@pytest.fixture
def save(tmp_path):
    """Write MLmodel with these flavors and this signature."""

    def to(flavors, **signature):
        told = {"flavors": flavors, "mlflow_version": "3.1.0", "model_uuid": "0" * 32}
        if signature:
            told["signature"] = {side: json.dumps(value) for side, value in signature.items()}
        (tmp_path / "MLmodel").write_text(yaml.safe_dump(told))
        return tmp_path

    return to


@pytest.fixture
def booster(tmp_path):
    import xgboost

    rows = np.random.default_rng(0).normal(size=(30, 3))
    trained = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, rows[:, 0]), 2)
    (tmp_path / "model.xgb").write_bytes(trained.save_raw("ubj"))
    return {"xgboost": {"data": "model.xgb", "model_class": "xgboost.core.Booster"}}


def refusal(path, runtime=None):
    with pytest.raises(InvalidPackage) as caught:
        open_package(path, runtime=runtime)
    return caught.value.message


def test_is_served_by_the_flavor_that_an_engine_runs(save, booster):
    package = open_package(save(booster | PYFUNC))
    assert (package.layout, package.runtime, package.model_file.name) == ("mlflow", "xgboost", "model.xgb")
    assert package.signature.inputs == (TensorSpec("input", DataType.FP32, (-1, 3)),)


def test_with_json_under_the_same_name_is_read_as_json(save, booster, tmp_path):
    import xgboost

    trained = xgboost.Booster(model_file=bytearray((tmp_path / "model.xgb").read_bytes()))
    (tmp_path / "model.xgb").write_bytes(trained.save_raw("json"))
    assert open_package(save(booster)).signature.inputs[0].shape == (-1, 3)


def test_with_columns_takes_a_tensor_for_each(save, booster):
    inputs = open_package(save(booster, inputs=COLUMNS)).signature.inputs
    assert inputs == tuple(
        TensorSpec(name, DataType.FP64, (-1,), nullable=True) for name in ("age", "height", "weight")
    )


def test_with_an_unnamed_tensor_calls_it_input(save, booster):
    inputs = open_package(save(booster, inputs=TENSOR)).signature.inputs
    assert inputs == (TensorSpec("input", DataType.FP64, (-1, 3)),)


def test_may_be_declared_otherwise_beside_it(save, booster, tmp_path):
    (tmp_path / "modelserve.yaml").write_text(
        "description: heights\nsignature: {inputs: [{name: x, datatype: FP32, shape: [-1, 3]}]}"
    )
    package = open_package(save(booster, inputs=COLUMNS))
    assert package.description == "heights"
    assert [spec.name for spec in package.signature.inputs] == ["x"]


def test_with_a_graph_believes_the_graph(save, tmp_path, save_relu):
    save_relu(tmp_path / "model.onnx")
    package = open_package(save({"onnx": {"data": "model.onnx"}} | PYFUNC, inputs=TENSOR))
    assert package.runtime is Runtime.ONNX
    assert package.signature.inputs == (TensorSpec("x", DataType.FP32, (-1, 4)),)


def test_with_a_skops_file_is_served(save, tmp_path):
    from sklearn.linear_model import LinearRegression

    rows = np.random.default_rng(0).normal(size=(9, 3))
    skops.io.dump(LinearRegression().fit(rows, rows[:, 0]), tmp_path / "model.skops")
    sklearn = {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}}
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]
    package = open_package(save(sklearn | PYFUNC, inputs=TENSOR, outputs=outputs))
    assert package.runtime is Runtime.SKLEARN
    assert package.signature.outputs == (TensorSpec("label", DataType.FP64, (-1,)),)
    assert not package.pickled


def test_with_a_pickle_of_scikit_learn_is_a_pickle_of_its_signature(save, tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    sklearn = {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}}
    assert "model.pkl: is a pickle, which is not read before the operator allows it" in refusal(save(sklearn))
    package = open_package(save(sklearn, inputs=TENSOR, outputs=[{"type": "long"}]))
    assert package.pickled
    assert package.signature.outputs == (TensorSpec("output", DataType.INT64, (-1,)),)


@pytest.mark.parametrize(
    ("flavors", "said"),
    [
        (
            PYFUNC,
            "python_function is a pickle of Python code; log the model with a flavor of its own library",
        ),
        ({"keras": {"data": "data"}}, "no flavor can be served: it has keras; onnx, xgboost, lightgbm"),
        (
            {"lightgbm": {"data": "model.pkl"}} | PYFUNC,
            "lightgbm: model.pkl is a pickle, and reading one runs code; log the booster",
        ),
        ({"xgboost": {"data": "gone.ubj"}}, "xgboost: there is no gone.ubj in the folder"),
        ({"xgboost": {"data": "../outside.ubj"}}, "there is no ../outside.ubj in the folder"),
        ({"xgboost": None}, "xgboost has no data"),
        ({"pytorch": {"model_data": "data"}}, "pytorch: there is no data/model.pt2 or data/model.pth"),
    ],
)
def test_without_a_flavor_that_can_be_served_says_why(save, tmp_path, flavors, said):
    (tmp_path / "model.pkl").write_bytes(b"x")
    (tmp_path.parent / "outside.ubj").write_bytes(b"x")
    assert said in refusal(save(flavors))


def test_has_no_flavor_for_a_runtime_that_it_lacks(save, booster):
    message = refusal(save(booster), Runtime.LIGHTGBM)
    assert "no flavor can be served for runtime lightgbm: it has xgboost" in message


def test_with_a_checkpoint_of_pytorch_is_refused(save, tmp_path):
    import zipfile

    (tmp_path / "data").mkdir()
    with zipfile.ZipFile(tmp_path / "data" / "model.pth", "w") as archive:
        archive.writestr("model/data.pkl", b"")
    message = refusal(save({"pytorch": {"model_data": "data"}}, inputs=TENSOR, outputs=TENSOR))
    assert "model.pth: is a checkpoint (torch.save), which holds weights and no program" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flavors: [", "MLmodel: not YAML"),
        ("flavors: 3", "MLmodel: has no flavors"),
        ("- a", "MLmodel: has no flavors"),
        ("flavors: {x: !!python/object:os.system y}", "MLmodel: not YAML"),
    ],
)
def test_with_a_damaged_mlmodel_is_refused(tmp_path, text, said):
    (tmp_path / "MLmodel").write_text(text)
    assert said in refusal(tmp_path)


def column(name, kind="double", **more):
    return {"type": kind, "name": name} | more


OPTIONAL = [{"required": False}, {"optional": True}, {"optional": "True"}, {"required": "false"}]


@pytest.mark.parametrize("flag", OPTIONAL, ids=str)
def test_with_an_optional_column_lets_clients_leave_it_out(save, booster, flag):
    """As in mlflow/mlflow#8438; whole numbers come as floats then, for NaN says that one is missing."""
    told = [column("a", "float", **flag), column("b", "long", **flag), column("c", "boolean", **flag)]
    inputs = open_package(save(booster, inputs=told)).signature.inputs
    assert [(spec.datatype.value, spec.optional, spec.nullable) for spec in inputs] == [
        ("FP32", True, True),
        ("FP64", True, True),
        ("FP64", True, True),
    ]


def test_with_a_required_column_lets_clients_leave_out_single_floats(save, booster):
    told = [column("a", "float", required=True), column("b", "long"), column("c", "double", optional=False)]
    inputs = open_package(save(booster, inputs=told)).signature.inputs
    assert [(spec.datatype.value, spec.nullable) for spec in inputs] == [
        ("FP32", True),
        ("INT64", False),
        ("FP64", True),
    ]
    assert not any(spec.optional for spec in inputs)


def test_with_tensors_lets_clients_leave_out_nothing(save, booster):
    (spec,) = open_package(save(booster, inputs=[TENSOR[0] | {"required": False}])).signature.inputs
    assert (spec.nullable, spec.optional) == (False, False)


def test_with_columns_of_a_frame_without_names_calls_them_by_their_numbers(save, booster):
    inputs = open_package(save(booster, inputs=[column(0), column(1), column(2)])).signature.inputs
    assert [spec.name for spec in inputs] == ["0", "1", "2"]


def test_with_a_named_tensor_keeps_its_name(save, booster):
    (spec,) = open_package(save(booster, inputs=[TENSOR[0] | {"name": "rows"}])).signature.inputs
    assert spec == TensorSpec("rows", DataType.FP64, (-1, 3))


def test_written_by_hand_may_list_its_columns_in_yaml(booster, tmp_path):
    told = {"flavors": booster, "signature": {"inputs": COLUMNS, "outputs": None}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(told))
    assert [spec.name for spec in open_package(tmp_path).signature.inputs] == ["age", "height", "weight"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([column(n) for n in "abcd"], "signature.inputs: declares 4 columns, but model.xgb takes 3 features"),
        (
            [column("a"), column("b"), column("c", "string")],
            "signature.inputs[2].type: string declared for 'c'; a matrix holds numbers",
        ),
        (
            [{"type": "tensor", "tensor-spec": {"dtype": "object", "shape": [-1, 3]}}],
            "signature.inputs[0].tensor-spec.dtype: object declared for 'input'; a matrix holds numbers",
        ),
        ([column("a"), column("b"), column("a")], "signature.inputs: declares 'a' twice; keep one"),
        ([column(0), column("0"), column("a")], "signature.inputs: declares '0' twice; keep one"),
        (
            [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3, 1]}}],
            "signature.inputs[0].shape: [-1, 3, 1] declared for 'input'; a column is [-1]",
        ),
    ],
)
def test_that_does_not_fit_its_file_is_refused_by_the_place_where_it_says_so(save, booster, columns, said):
    """As in mlflow/mlflow#3362 and lightgbm-org/LightGBM#5244."""
    message = refusal(save(booster, inputs=columns))
    assert message.startswith(f"MLmodel: {said}")


def test_of_pytorch_with_texts_is_refused_by_that_place(save, tmp_path):
    import zipfile

    (tmp_path / "data").mkdir()
    with zipfile.ZipFile(tmp_path / "data" / "model.pt2", "w") as archive:
        archive.writestr("model/data.pkl", b"")
    message = refusal(save({"pytorch": {"model_data": "data"}}, inputs=[column("a"), column("b", "string")]))
    assert message.startswith("MLmodel: signature.inputs[1].type: string declared for 'b'; a PyTorch")


def test_declared_otherwise_is_refused_by_that_place(save, booster, tmp_path):
    (tmp_path / "modelserve.yaml").write_text(
        "signature: {inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]}"
    )
    message = refusal(save(booster, inputs=COLUMNS))
    assert message.startswith("modelserve.yaml: signature.inputs: declares 4 columns")


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "datetime", "name": "x"},
        {"type": "tensor"},
        {"name": "x"},
        7,
        {"type": "object", "name": "x"},
        {"type": "array", "items": {"type": "double"}, "name": "x"},
        {"type": "double", "name": 1.5},
        {"type": "double", "name": ["a", "b"]},
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": []}},
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": ["n", 3]}},
        {"type": "tensor", "tensor-spec": {"dtype": "datetime64[ns]", "shape": [-1]}},
    ],
)
def test_with_a_signature_that_no_tensor_has_is_told_to_declare_one(save, booster, entry):
    message = refusal(save(booster, inputs=[entry]))
    assert "MLmodel: signature.inputs: can't be read" in message
    assert "declare the signature in modelserve.yaml" in message
    assert "\n" not in message
    assert "https:" not in message
