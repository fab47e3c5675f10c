"""A declaration (modelserve.yaml) ..."""

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelserve.domain.models import Task
from modelserve.errors import InvalidPackage
from modelserve.packages import open_package
from modelserve.packages.declaration import Declaration, read_declaration


@pytest.fixture
def declare(tmp_path, save_relu):
    """Open a folder with this declaration."""
    save_relu(tmp_path / "model.onnx")

    def with_text(text):
        (tmp_path / "modelserve.yaml").write_text(text, "utf-8")
        return open_package(tmp_path)

    return with_text


@pytest.fixture
def refusal(declare):
    def of(text):
        with pytest.raises(InvalidPackage) as caught:
            declare(text)
        return caught.value.message

    return of


def test_may_say_everything(declare, tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    package = declare(
        "task: tensor\ndescription: a sieve\nreference: rows.jsonl\n"
        "signature:\n  inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]\n"
    )
    assert package.task is Task.TENSOR
    assert package.description == "a sieve"
    assert package.reference == tmp_path / "rows.jsonl"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_may_be_empty(declare, text):
    assert declare(text).description == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tsak: tensor", "modelserve.yaml: tsak: unknown key; did you mean 'task'?"),
        ("limits: {maxLenght: 3}", "limits.maxLenght: unknown key; did you mean 'maxLength'?"),
        ("limits: {max_length: 3}", "limits.max_length: unknown key; did you mean 'maxLength'?"),
        (
            "zzz: 1",
            "zzz: unknown key; known are task, description, deterministic, batching, warmUp, reference",
        ),
        ("batching: maybe", "batching: 'maybe': none or true is wanted"),
        ("warmUp: never", "warmUp: 'never': input should be 'skip'"),
        ("task: tensors", "task: 'tensors': input should be 'token-classification', 'image-class"),
        ("limits: {maxLength: '9'}", "limits.maxLength: '9': input should be a valid integer"),
        ("limits: {maxLength: true}", "limits.maxLength: True: input should be a valid integer"),
        ("limits: {maxPixels: 0}", "limits.maxPixels: 0: input should be greater than or equal to 1"),
        ("description: [a]", "description: ['a']: input should be a valid string"),
        ("signature: {inputs: [{name: x}]}", "signature.inputs[0].datatype: is missing"),
        ("- a\n- b", "modelserve.yaml: holds ['a', 'b']; keys with values are wanted"),
        ("a: 1\nb: [", "modelserve.yaml: not YAML at line 2 column 5"),
        ("task: tensor\ntask: tensor", "not YAML at line 2 column 1: 'task' is given twice; keep one"),
        ("? [a]\n: 1", "not YAML at line 1 column 3: found unhashable key"),
        ("task: !!python/object:os.system x", "not YAML at line 1 column 7: could not determine"),
        ("a: " + "[" * 5000, "modelserve.yaml: not YAML"),
        ("description: note: this", "not YAML at line 1 column 18: mapping values are not allowed here; put"),
        ("# " + "x" * 70_000, "modelserve.yaml: has 70002 bytes; at most 65536 are read"),
    ],
)
def test_with_a_mistake_is_refused_with_the_fix(refusal, text, said):
    assert said in refusal(text)


def test_whose_aliases_multiply_takes_no_memory(refusal):
    lists = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 7)]
    text = "\n".join(["a0: &a0 x", *lists, "? *a6", ": 1"])
    tracemalloc.start()
    try:
        assert "found unhashable key" in refusal(text)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_is_told_all_its_mistakes_at_once(refusal):
    message = refusal("tsak: tensor\nlimits: {maxLength: -1}")
    assert "tsak" in message
    assert "limits.maxLength: -1" in message


@pytest.mark.parametrize("name", ["missing.jsonl", "../outside.jsonl", "/etc/hostname", ".", "link.jsonl"])
def test_refers_only_to_files_inside(refusal, tmp_path, name):
    (tmp_path.parent / "outside.jsonl").write_text("{}")
    (tmp_path / "link.jsonl").symlink_to(tmp_path.parent / "outside.jsonl")
    message = refusal(f"reference: {name}")
    assert f"reference: {name!r} is no file inside the package" in message


class TestSignature:
    @pytest.mark.parametrize(
        ("tensor", "said"),
        [
            ("{name: z, datatype: FP32, shape: [-1, 4]}", "inputs: declares 'z', but the graph has 'x'"),
            ("{name: x, datatype: INT64, shape: [-1, 4]}", "inputs[0].datatype: INT64 declared for 'x', but"),
            ("{name: x, datatype: FP32, shape: [-1, 5]}", "inputs[0].shape: [-1, 5] declared for 'x', but"),
            ("{name: x, datatype: FP32, shape: [-1]}", "inputs[0].shape: [-1] declared for 'x', but"),
            (
                "{name: x, datatype: FLOAT, shape: [-1]}",
                "inputs[0].datatype: 'FLOAT': input should be 'BOOL'",
            ),
            ("{name: x, datatype: FP32, shape: [-2]}", "inputs[0].shape[0]: -2: input should be greater"),
        ],
    )
    def test_is_checked_against_the_graph(self, refusal, tensor, said):
        assert said in refusal(f"signature: {{inputs: [{tensor}]}}")

    def test_may_close_an_axis_that_the_graph_leaves_open(self, declare):
        package = declare("signature: {inputs: [{name: x, datatype: FP32, shape: [2, 4]}]}")
        assert package.signature.inputs[0].shape == (2, 4)
        assert package.signature.outputs[0].shape == (-1, 4)

    def test_names_each_tensor_once(self, refusal):
        tensor = "{name: y, datatype: FP32, shape: [-1, 4]}"
        message = refusal(f"signature: {{outputs: [{tensor}, {tensor}]}}")
        assert "signature.outputs: declares 'y', 'y', but the graph has 'y'" in message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="task:limsxLegh{}[]-&*!|>'\"#\n \t1\0é%@", max_size=40))
def test_of_any_text_is_read_or_refused_and_never_breaks(tmp_path, text):
    (tmp_path / "modelserve.yaml").write_text(text, "utf-8")
    outcome = None
    try:
        outcome = read_declaration(tmp_path)
    except InvalidPackage as refused:
        outcome = refused.message
    assert isinstance(outcome, Declaration) or outcome.startswith("modelserve.yaml: ")
