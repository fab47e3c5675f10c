"""A Python model, in the process that calls it ..."""

import sys
import textwrap

import numpy as np
import pytest

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import ModelPackage, PythonCode, Runtime, Task
from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed
from modelserve.runtimes import runtime_for

X = TensorSpec("x", DataType.FP32, (-1, 2))
Y = TensorSpec("y", DataType.FP32, (-1, 2))
LABEL = TensorSpec("label", DataType.BYTES, (-1,))
GIVEN = {"x": np.ones((3, 2), np.float32)}
GOOD = """
import numpy as np
class Model:
    def load(self, folder): self.folder = folder
    def predict(self, inputs): return {'y': 2 * inputs['x']}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def build(text, entry="model:Model", requirements=(), outputs=(Y,)):
        module = entry.partition(":")[0]
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(text))
        package = ModelPackage(
            path=tmp_path,
            digest="0" * 64,
            layout="python",
            task=Task.TENSOR,
            model_file=tmp_path / f"{module}.py",
            signature=Signature((X,), tuple(outputs)),
            runtime=Runtime.PYTHON,
            code=PythonCode(entry, tuple(requirements)),
        )
        return runtime_for("python").load(package)

    yield build
    sys.modules.pop("model", None)


def answering(expression):
    return f"""
import numpy as np
class Model:
    def load(self, folder): pass
    def predict(self, inputs): return {expression}
"""


class TestClass:
    def test_is_loaded_with_its_folder_and_asked(self, load, tmp_path):
        model = load(GOOD)
        assert model._instance.folder == tmp_path
        np.testing.assert_array_equal(model.predict(GIVEN)["y"], 2 * GIVEN["x"])
        assert not model.streams

    def test_may_have_any_name_and_import_its_neighbours(self, load, tmp_path):
        (tmp_path / "neighbour_of_model.py").write_text("FACTOR = np = 3")
        text = GOOD.replace("class Model", "from neighbour_of_model import FACTOR\nclass Triple")
        load(text.replace("2 *", "FACTOR *"), entry="triple_model:Triple").predict(GIVEN)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("import nothing_like_this", "importing model failed: ModuleNotFoundError: No module named"),
            ("def broken(:", "importing model failed: SyntaxError"),
            ("x = 1", "model:Model: model has no Model; it has no class"),
            ("class Modell: pass", "model has no Model; it has Modell"),
            ("Model = 3", "is a int; a class is wanted"),
            ("class Model:\n  def predict(self, i): ...", r"needs the methods load\(self, folder\) and"),
            ("class Model:\n  def load(self, f): ...", r"needs the methods load\(self, folder\) and"),
            ("class Model:\n  def load(self, f): ...\n  async def predict(self, i): ...",
             "predict is async; write it with plain def"),
            ("class Model:\n  def __init__(self, a): ...\n  load = predict = lambda self, given: None",
             "load failed: TypeError"),
        ],
    )  # fmt: skip
    def test_is_refused_in_words(self, load, text, message):
        with pytest.raises(InvalidPackage, match=message):
            load(text)

    def test_is_not_loaded_without_what_it_requires(self, load):
        with pytest.raises(
            InvalidPackage, match=r"not-a-thing>=2 not installed .*: pip install 'not-a-thing>=2'"
        ):
            load(GOOD, requirements=["numpy>=1", "not-a-thing>=2"])


class TestAnswer:
    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("None", "the model gave None; return a dictionary of arrays by output name"),
            ("inputs['x']", "the model gave a ndarray; return a dictionary"),
            ("{}", "the model gave no output 'y', which the signature promises"),
            ("{'y': inputs['x'], 'z': 1}", "the model gave an output 'z'; the signature has 'y'"),
            ("{'y': [[1, 2]] * 3}", 'output "y": the model gave a list; return a numpy array of FP32'),
            ("{'y': np.ones((3, 2))}", r'"y": the model gave float64; the signature says FP32: '
             r"use .astype\(np.float32\)"),
            ("{'y': np.ones((3, 4), 'f4')}", r'the model gave shape \[3, 4\]; \[3, 2\] is wanted'),
            ("{'y': np.ones((2, 2), 'f4')}", r"shape \[2, 2\]; \[3, 2\] is wanted, by .* 3 rows"),
            ("{'y': np.ones(3, 'f4')}", r"shape \[3\]; \[3, 2\] is wanted"),
        ],
    )  # fmt: skip
    def test_must_be_what_the_signature_says(self, load, expression, message):
        with pytest.raises(ModelFailed, match=message):
            load(answering(expression)).predict(GIVEN)

    @pytest.mark.parametrize(
        "expression", ["['a', 'b', 'c']", "[b'a', b'b', b'c']", "['a', b'b', 'c'], dtype=object"]
    )
    def test_may_be_text_however_numpy_holds_it(self, load, expression):
        model = load(answering(f"{{'label': np.array({expression})}}"), outputs=[LABEL])
        answer = model.predict(GIVEN)["label"]
        assert answer.dtype == object
        assert answer.tolist() == [b"a", b"b", b"c"]

    def test_may_hold_nothing_but_text_where_text_is_promised(self, load):
        model = load(answering("{'label': np.array([1, 2, 3])}"), outputs=[LABEL])
        with pytest.raises(ModelFailed, match='output "label": the model gave a int among BYTES'):
            model.predict(GIVEN)

    def test_has_only_what_is_asked_for(self, load):
        model = load(answering("{'y': inputs['x'], 'label': np.array(['a'] * 3)}"), outputs=[Y, LABEL])
        assert list(model.predict(GIVEN, ["label"])) == ["label"]


class TestPieces:
    def test_may_come_from_predict_itself(self, load):
        model = load("""
            class Model:
                def load(self, folder): pass
                def predict(self, inputs):
                    yield {'y': inputs['x']}
                    yield {'y': inputs['x'] * 2}
        """)
        assert model.streams
        assert [float(piece["y"][0, 0]) for piece in model.stream(GIVEN)] == [1, 2]
        with pytest.raises(InvalidInput, match="answers in pieces"):
            model.predict(GIVEN)

    def test_are_checked_like_a_whole_answer(self, load):
        model = load("""
            class Model:
                def load(self, folder): pass
                def stream(self, inputs):
                    yield {'y': inputs['x']}
                    yield {'y': 1}
        """)
        pieces = model.stream(GIVEN)
        next(pieces)
        with pytest.raises(ModelFailed, match="the model gave a int"):
            next(pieces)

    def test_must_be_given_by_a_generator(self, load):
        model = load("""
            class Model:
                def load(self, folder): pass
                def stream(self, inputs): return [{'y': inputs['x']}]
        """)
        with pytest.raises(ModelFailed, match="stream gave a list; yield one dictionary"):
            next(model.stream(GIVEN))

    def test_are_not_had_of_a_model_without(self, load):
        with pytest.raises(InvalidInput, match="does not answer in pieces"):
            next(load(GOOD).stream(GIVEN))
