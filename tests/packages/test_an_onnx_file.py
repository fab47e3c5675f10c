"""An ONNX file ..."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import InvalidPackage
from modelserve.packages import digest, open_package


def refusal(path, task=None):
    with pytest.raises(InvalidPackage) as caught:
        open_package(path, task)
    return caught.value.message


def test_alone_is_a_package_of_plain_tensors(tmp_path, save_relu):
    path = save_relu(tmp_path / "relu.onnx")
    package = open_package(path)
    assert (package.layout, package.task, package.model_file) == ("onnx", Task.TENSOR, path)
    assert package.signature.inputs == (TensorSpec("x", DataType.FP32, (-1, 4)),)
    assert package.signature.outputs == (TensorSpec("y", DataType.FP32, (-1, 4)),)


def test_alone_has_the_digest_of_a_folder_that_holds_it(tmp_path, save_relu):
    alone, folder = save_relu(tmp_path / "relu.onnx"), tmp_path / "folder"
    save_relu(folder / "relu.onnx")
    assert open_package(alone).digest == open_package(folder).digest == digest(folder)


def test_in_a_folder_may_be_described(tmp_path, save_relu):
    save_relu(tmp_path / "relu.onnx")
    (tmp_path / "modelserve.yaml").write_text("description: keeps what is above zero\n")
    assert open_package(tmp_path).description == "keeps what is above zero"


def test_must_be_the_only_one_in_its_folder(tmp_path, save_relu):
    for name in ("a.onnx", "b.onnx"):
        save_relu(tmp_path / name)
    assert "holds a.onnx, b.onnx; keep one .onnx file, or give the file itself" in refusal(tmp_path)


def test_can_not_be_asked_for_labels(tmp_path, save_relu):
    message = refusal(save_relu(tmp_path / "relu.onnx"), Task.IMAGE_CLASSIFICATION)
    assert "task image-classification needs labels and preprocessing beside the model" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; export or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "is a Git LFS pointer"),
        (b"\n <!DOCTYPE html><html>404", "is an HTML page, most likely the error page of a download"),
        (b"<HTML>", "is an HTML page"),
        (b"just some words that are no model\n" * 9, "is not an ONNX file, or is truncated"),
        (b"\x08\x0a", "is not an ONNX model"),
    ],
)
def test_that_is_something_else_is_recognised(tmp_path, content, said):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert refusal(path).startswith(f"model.onnx: {said}")


def test_cut_short_anywhere_is_refused(tmp_path, save_relu):
    path = save_relu(tmp_path / "model.onnx")
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        assert refusal(path).startswith("model.onnx: ")


@pytest.mark.parametrize(
    ("opset", "said"),
    [
        (99, "needs an operator set that this ONNX Runtime does not know; export it with an older opset"),
        (3, "uses an operator version that this ONNX Runtime does not run"),
    ],
)
def test_of_a_wrong_opset_is_refused(tmp_path, save_relu, opset, said):
    assert said in refusal(save_relu(tmp_path / "model.onnx", opset=opset))


def test_with_an_unknown_operator_is_refused(tmp_path, save_graph):
    value = ("x", TensorProto.FLOAT, ["batch"])
    nodes = [helper.make_node("Teleport", ["x"], ["y"])]
    save_graph(tmp_path / "m.onnx", [value], [("y", *value[1:])], nodes)
    message = refusal(tmp_path / "m.onnx")
    assert "uses an operator that this ONNX Runtime does not have" in message
    assert "Teleport" in message


def test_is_never_refused_with_a_path_of_this_machine(tmp_path, save_relu):
    path = save_relu(tmp_path / "model.onnx", opset=99)
    message = refusal(path)
    assert str(tmp_path) not in message
    assert "onnxruntime_src" not in message
    assert ".h:" not in message


class TestTensors:
    @pytest.mark.parametrize("kind", [TensorProto.BFLOAT16])
    def test_of_a_datatype_that_clients_can_not_send_are_refused(self, tmp_path, save_graph, kind):
        value = (kind, ["batch"])
        nodes = [helper.make_node("Identity", ["x"], ["y"])]
        save_graph(tmp_path / "m.onnx", [("x", *value)], [("y", *value)], nodes)
        assert "input 'x' is a tensor(bfloat16); plain tensors of BOOL, UINT8" in refusal(tmp_path / "m.onnx")

    def test_in_a_sequence_are_refused(self, tmp_path):
        graph = helper.make_graph(
            [helper.make_node("SequenceConstruct", ["x"], ["y"])],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"])],
            [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.save(model, tmp_path / "m.onnx")
        assert "output 'y' is a seq(tensor(float))" in refusal(tmp_path / "m.onnx")

    def test_without_a_batch_axis_are_refused(self, tmp_path, save_relu):
        message = refusal(save_relu(tmp_path / "m.onnx", shape=()))
        assert "input 'x' has no axes in the graph, so no batch axis; declare its shape" in message

    def test_of_unknown_rank_may_be_declared(self, tmp_path, save_relu):
        save_relu(tmp_path / "m.onnx", shape=None)
        (tmp_path / "modelserve.yaml").write_text(
            "signature:\n"
            "  inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]\n"
            "  outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]\n"
        )
        assert open_package(tmp_path).signature.inputs == (TensorSpec("x", DataType.FP32, (-1, 4)),)

    def test_of_every_protocol_datatype_are_read(self, tmp_path, save_graph):
        kinds = {
            TensorProto.BOOL: "BOOL",
            TensorProto.UINT8: "UINT8",
            TensorProto.INT32: "INT32",
            TensorProto.FLOAT16: "FP16",
            TensorProto.DOUBLE: "FP64",
            TensorProto.STRING: "BYTES",
        }
        for kind, name in kinds.items():
            value = (kind, ["batch"])
            nodes = [helper.make_node("Identity", ["x"], ["y"])]
            save_graph(tmp_path / "m.onnx", [("x", *value)], [("y", *value)], nodes)
            assert open_package(tmp_path / "m.onnx").signature.inputs[0].datatype == name


class TestWeightsInASecondFile:
    @pytest.fixture
    def folder(self, tmp_path, save_graph):
        plain = save_graph(
            tmp_path / "plain.onnx",
            [("x", TensorProto.FLOAT, ["batch", 64])],
            [("y", TensorProto.FLOAT, ["batch", 64])],
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            {"w": np.eye(64, dtype=np.float32)},
        )
        folder = tmp_path / "folder"
        folder.mkdir()
        onnx.save(
            onnx.load(plain),
            folder / "model.onnx",
            save_as_external_data=True,
            location="model.onnx.data",
            size_threshold=0,
        )
        return folder

    def test_are_found_beside_the_model(self, folder):
        assert open_package(folder).signature.outputs[0].shape == (-1, 64)

    def test_belong_to_the_digest(self, folder):
        before = open_package(folder).digest
        data = folder / "model.onnx.data"
        data.write_bytes(data.read_bytes()[:-1] + b"\x01")
        assert open_package(folder).digest != before

    def test_are_asked_for_when_missing(self, folder):
        (folder / "model.onnx.data").unlink()
        message = refusal(folder)
        assert "lacks the file with its weights; put it beside the model" in message
        assert '"model.onnx.data"' in message

    def test_are_refused_when_cut_short(self, folder):
        (folder / "model.onnx.data").write_bytes(b"short")
        assert "has a file of weights that is truncated" in refusal(folder)

    def test_need_the_folder_and_not_the_bare_file(self, folder):
        message = refusal(folder / "model.onnx")
        assert message == "model.onnx: keeps weights in a second file; give the folder with both instead"

    def test_may_not_lie_outside_of_the_folder(self, folder, tmp_path):
        model = onnx.load(folder / "model.onnx", load_external_data=False)
        for entry in model.graph.initializer[0].external_data:
            if entry.key == "location":
                entry.value = "../outside.data"
        (folder / "model.onnx.data").rename(tmp_path / "outside.data")
        onnx.save(model, folder / "model.onnx")
        assert "keeps weights outside of its folder" in refusal(folder)
