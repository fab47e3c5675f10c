"""A folder with code of its own ..."""

import pytest

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import PythonCode, Runtime, Task
from modelserve.errors import InvalidPackage
from modelserve.packages import open_package

SIGNATURE = """
signature:
  inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
  outputs: [{name: y, datatype: BYTES, shape: [-1]}]
"""


@pytest.fixture
def folder(tmp_path):
    def build(declaration=SIGNATURE, code="model.py"):
        if code:
            (tmp_path / code).parent.mkdir(exist_ok=True)
            (tmp_path / code).write_text("raise SystemExit('reading a package must not run it')")
        if declaration is not None:
            (tmp_path / "modelserve.yaml").write_text(declaration)
        return tmp_path

    return build


def test_is_read_without_running_it(folder):
    package = open_package(folder())
    assert (package.layout, package.runtime, package.task) == ("python", Runtime.PYTHON, Task.TENSOR)
    assert package.code == PythonCode("model:Model", ())
    assert package.signature.inputs == (TensorSpec("x", DataType.FP32, (-1, 4)),)
    assert package.signature.outputs == (TensorSpec("y", DataType.BYTES, (-1,)),)


def test_may_name_its_class_and_what_it_requires(folder):
    python = "python: {class: 'pkg.serve:Ranker', requirements: [scipy>=1.10]}"
    package = open_package(folder(SIGNATURE + python, "pkg/serve.py"))
    assert package.code == PythonCode("pkg.serve:Ranker", ("scipy>=1.10",))
    assert package.model_file.name == "serve.py"


def test_may_hold_other_models_beside_its_code(folder):
    path = folder(SIGNATURE + "python: {}")
    (path / "weights.onnx").write_bytes(b"whatever it reads itself")
    (path / "config.json").write_text("{}")
    assert open_package(path).runtime is Runtime.PYTHON


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (None, "modelserve.yaml: signature.inputs: is missing: code does not tell what it takes"),
        ("signature: {inputs: [{name: x, datatype: FP32, shape: [-1]}]}", "signature.outputs: is missing"),
        (SIGNATURE + "python: {class: 'other:Model'}", "'other:Model': there is no other.py in the package"),
        (SIGNATURE + "python: {class: '../evil:Model'}", "python.class: '../evil:Model'"),
        (SIGNATURE + "python: {klass: x}", "python.klass: unknown key; did you mean 'class'?"),
        (SIGNATURE + "task: image-classification", "code of a package takes tensors and gives tensors"),
    ],
)
def test_is_refused_in_words(folder, declaration, message):
    with pytest.raises(InvalidPackage) as caught:
        open_package(folder(declaration))
    assert message in caught.value.message


def test_is_not_run_by_another_engine(folder):
    with pytest.raises(InvalidPackage, match="asks for runtime onnx, but this is a model for python"):
        open_package(folder(), runtime=Runtime.ONNX)
