import json

import onnx
import pytest
from onnx import TensorProto, helper

from modelserve.packages import open_package
from modelserve.packages.operators.names import MIXING, RANDOM, operators_of
from modelserve.packages.reference import reference


def save(path, *nodes):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(list(nodes), "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("operator", sorted(RANDOM | MIXING))
def test_is_found_out_by_its_operators(tmp_path, operator):
    path = save(tmp_path / "m.onnx", helper.make_node(operator, ["x"], ["y"]))

    assert operators_of(path) == {operator}


def test_is_not_what_adds(tmp_path):
    path = save(tmp_path / "m.onnx", helper.make_node("Add", ["x", "x"], ["y"]))

    assert not operators_of(path) & RANDOM
    assert open_package(path).deterministic


def test_may_be_declared(tmp_path):
    save(tmp_path / "m.onnx", helper.make_node("Add", ["x", "x"], ["y"]))
    (tmp_path / "modelserve.yaml").write_text("deterministic: false")

    assert not open_package(tmp_path).deterministic


def test_is_not_looked_for_in_other_files(tmp_path):
    other = tmp_path / "model.bin"
    other.write_bytes(b'"\x09Bernoulli')
    empty = tmp_path / "empty.onnx"
    empty.touch()

    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b'"\x09Bernou')

    assert operators_of(other) == operators_of(empty) == operators_of(broken) == frozenset()


def test_is_found_out_by_the_operators_of_a_branch_and_of_a_function(tmp_path):
    def graph(node):
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
        return helper.make_graph([node], "branch", [], [y])

    branches = {
        "then_branch": graph(helper.make_node("RandomNormalLike", ["x"], ["y"])),
        "else_branch": graph(helper.make_node("Own", ["x"], ["y"], domain="own")),
    }
    node = helper.make_node("If", ["yes"], ["y"], **branches)
    path = save(tmp_path / "m.onnx", helper.make_node("Constant", [], ["yes"], value_int=1), node)
    model = onnx.load(path)
    inner = [helper.make_node("Bernoulli", ["a"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "Own", ["a"], ["b"], inner, opset))
    onnx.save(model, path)

    assert operators_of(path) == {"Constant", "If", "RandomNormalLike", "Own", "Bernoulli"}


def test_is_not_found_in_the_words_of_a_weight(tmp_path):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    weight = helper.make_tensor("w", TensorProto.STRING, [1], [b'"\x09Bernoulli'])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [x], [weight])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")

    assert operators_of(tmp_path / "m.onnx") == {"Identity"}


@pytest.mark.parametrize(("said", "deterministic"), [("", False), ("deterministic: true", True)])
def test_is_what_code_of_a_package_is_taken_for_unless_it_says_otherwise(tmp_path, said, deterministic):
    tensor = "{name: x, datatype: FP32, shape: [-1, 2]}"
    (tmp_path / "model.py").write_text("class Model: ...")
    signature = f"signature: {{inputs: [{tensor}], outputs: [{tensor}]}}"
    (tmp_path / "modelserve.yaml").write_text(f"{said}\n{signature}")

    assert open_package(tmp_path).deterministic is deterministic


def test_is_what_a_model_of_another_server_is_taken_for():
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
    content = {"url": "http://triton:8000/v2/models/m", "inputs": [tensor], "outputs": [tensor]}
    with reference(json.dumps(content).encode()) as path:
        assert not open_package(path).deterministic
