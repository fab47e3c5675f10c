"""An exported program ..."""

import io
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed
from modelserve.packages import open_package

ONES = np.ones((3, 3), np.float32)


def refusal(path):
    with pytest.raises(InvalidPackage) as caught:
        open_package(path)
    return caught.value.message


def test_tells_its_tensors_and_answers(affine, load):
    model = load(affine)
    assert model.signature.inputs == (TensorSpec("x", DataType.FP32, (-1, 3)),)
    assert model.signature.outputs == (TensorSpec("output", DataType.FP32, (-1, 3)),)
    np.testing.assert_array_equal(model.predict({"x": ONES})["output"], ONES * 3)


def test_may_be_renamed_in_its_declaration(affine, load):
    (affine.parent / "modelserve.yaml").write_text(
        "signature:\n"
        "  inputs: [{name: points, datatype: FP32, shape: [-1, 3]}]\n"
        "  outputs: [{name: moved, datatype: FP32, shape: [-1, 3]}]\n"
    )
    assert list(load(affine.parent).predict({"points": ONES})) == ["moved"]


class Difference(torch.nn.Module):
    def forward(self, minuend, subtrahend):
        return {"difference": minuend - subtrahend, "sum": minuend + subtrahend}


def declared(folder, inputs, outputs=()):
    def side(names):
        return ", ".join(f"{{name: {name}, datatype: FP32, shape: [-1, 3]}}" for name in names)

    (folder / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{side(inputs)}], outputs: [{side(outputs)}]}}"
    )
    return folder


def test_keeps_its_names_when_they_are_declared_in_another_order(save_export, load):
    path = save_export(Difference(), (torch.ones(2, 3), torch.zeros(2, 3)))
    model = load(declared(path.parent, ["subtrahend", "minuend"], ["sum", "difference"]))
    answer = model.predict({"subtrahend": ONES, "minuend": ONES * 5})
    assert {name: data[0, 0] for name, data in answer.items()} == {"difference": 4, "sum": 6}


def test_does_so_in_a_folder_of_mlflow(save_export, load, tmp_path):
    (tmp_path / "mlflow" / "data").mkdir(parents=True)
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}
    told = json.dumps([{"name": name, **tensor} for name in ("subtrahend", "minuend")])
    (tmp_path / "mlflow" / "MLmodel").write_text(
        f"flavors: {{pytorch: {{model_data: data}}}}\nsignature: {{inputs: '{told}'}}\n"
    )
    path = save_export(Difference(), (torch.ones(2, 3), torch.zeros(2, 3)))
    path.rename(tmp_path / "mlflow" / "data" / "model.pt2")
    answer = load(tmp_path / "mlflow").predict({"subtrahend": ONES, "minuend": ONES * 5})
    assert answer["difference"][0, 0] == 4


def test_does_not_give_one_inputs_name_to_another(save_export):
    path = save_export(Difference(), (torch.ones(2, 3), torch.zeros(2, 3)))
    assert refusal(declared(path.parent, ["subtrahend", "other"])) == (
        "modelserve.yaml: signature.inputs: declares 'subtrahend', 'other', but model.pt2 has 'minuend', "
        "'subtrahend', so that 'subtrahend' would be another; use its names for all, or other names in its "
        "order"
    )


def test_leaves_the_arrays_that_it_is_given_alone(affine, load):
    given = ONES.copy()
    given.flags.writeable = False
    load(affine).predict({"x": given})
    np.testing.assert_array_equal(given, ONES)


class Affine(torch.nn.Module):
    def forward(self, x):
        return x * 2 + 1


class Several(torch.nn.Module):
    def forward(self, ids, mask=None):
        whole = ids * mask
        return {"sum": whole.sum(dim=1), "half": whole.to(torch.bfloat16) / 2}


def test_takes_keywords_and_gives_a_dictionary(save_export, load):
    example = torch.ones(2, 4, dtype=torch.int64)
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    axes = {"ids": {0: batch, 1: tokens}, "mask": {0: batch, 1: tokens}}
    path = save_export(Several(), (example,), axes=axes, kwargs={"mask": example.clone()})
    model = load(path)
    assert [(spec.name, spec.shape) for spec in model.signature.inputs] == [
        ("ids", (-1, -1)),
        ("mask", (-1, -1)),
    ]
    ids = np.array([[1, 2, 3]], np.int64)
    answer = model.predict({"mask": np.array([[1, 1, 0]], np.int64), "ids": ids})
    assert answer["sum"].tolist() == [3]
    assert answer["half"].tolist() == [[0.5, 1.0, 0.0]]
    assert answer["half"].dtype == np.float32


class Vision(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
        )
        self.register_buffer("scale", torch.tensor([2.0]))

    def forward(self, pixels):
        return self.layers(pixels).flatten(1) * self.scale


class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(20, 8)
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, ids):
        places = torch.arange(ids.shape[1]) % 20
        return self.layers(self.table(ids) + self.table(places)).mean(dim=1)


class Branches(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


@pytest.mark.parametrize(
    ("module", "example"),
    [
        (Vision(), torch.rand(2, 1, 8, 8)),
        (Reader(), torch.ones(2, 5, dtype=torch.int64)),
        (Branches(), torch.ones(2, 3)),
        (torch.nn.Sequential(torch.nn.LSTM(3, 4, batch_first=True)), torch.ones(2, 5, 3)),
        (torch.nn.MultiheadAttention(4, 2, batch_first=True), None),
    ],
    ids=["vision", "transformer", "branches", "lstm", "attention"],
)
def test_of_the_usual_parts_answers_as_its_module_does(save_export, load, module, example):
    given = (example,) if example is not None else (torch.rand(2, 3, 4),) * 3
    model = load(save_export(module, given))
    known = torch.utils._pytree.tree_leaves(module(*given))
    names = [spec.name for spec in model.signature.inputs]
    answers = model.predict({name: tensor.numpy() for name, tensor in zip(names, given, strict=True)})
    for answer, tensor in zip(answers.values(), known, strict=True):
        np.testing.assert_allclose(answer, tensor.detach().numpy(), rtol=1e-4, atol=1e-5)


class Of(torch.nn.Module):
    """A function of x, with parts that go by any name."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function, self.parts = function, torch.nn.ModuleDict(parts)

    def forward(self, x):
        return self.function(self.parts, x)


ROWS = torch.tensor([[2.0, 3.0, 0.0], [-1.0, 0.5, -5.0]])


@pytest.mark.parametrize(
    "module",
    [
        Of(lambda parts, x: x.masked_fill(x < 0, float("-inf")).softmax(1)),
        Of(lambda parts, x: x.nan_to_num(float("inf")).clamp(max=float("inf"))),
        Of(lambda parts, x: (x > 0) & (x < 1)),
        Of(lambda parts, x: (x.long() | 1) ^ 3),
        Of(lambda parts, x: (x.long() << 2) >> 1),
        Of(lambda parts, x: parts["head-a b/c:0"](x), **{"head-a b/c:0": torch.nn.Linear(3, 2)}),
        Of(lambda parts, x: torch.fft.rfft(x, dim=1).conj().imag),
        Of(lambda parts, x: x.abs().to(torch.uint32)),
        Of(lambda parts, x: x.abs().to(torch.uint64)),
    ],
    ids=["minus", "infinity", "and", "or", "shift", "names", "negated", "uint32", "uint64"],
)
def test_of_rarer_words_answers_as_its_module_does(save_export, load, module):
    answers = load(save_export(module, (ROWS,))).predict({"x": ROWS.numpy()})
    known = module(ROWS).detach().resolve_neg().numpy()
    np.testing.assert_allclose(answers["output"], known, rtol=1e-6)
    assert answers["output"].dtype == known.dtype


class Optional(torch.nn.Module):
    def forward(self, first, mask=None, factor: float = 1.0, last=None, mode="plain"):
        return {"loss": mask, "logits": (first - last) * factor}


def test_has_what_the_export_had_for_arguments_that_are_no_tensors(save_export, load):
    given = (torch.zeros(2, 3), None, float("-inf"), torch.ones(2, 3), "plain")
    batch = {0: torch.export.Dim("batch")}
    model = load(save_export(Optional(), given, axes=(batch, None, None, batch, None)))
    assert [spec.name for spec in model.signature.inputs] == ["first", "last"]
    assert [spec.name for spec in model.signature.outputs] == ["logits"]
    assert model.predict({"first": ONES, "last": ONES * 2})["logits"][0, 0] == np.inf


class Halves(torch.nn.Module):
    def forward(self, x):
        return x + 1


class Kept(torch.nn.Module):
    def forward(self, x):
        return x[x[:, 0] > 0]


class Places(torch.nn.Module):
    def forward(self, x):
        return x.nonzero()


class Larger(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.interpolate(x[:, None], scale_factor=1.5)[:, 0]


class Scaled(torch.nn.Module):
    def forward(self, x):
        return x * x[0, 0].item()


class Cut(torch.nn.Module):
    def forward(self, x):
        most = x[0, 0].int().item()
        torch._check(most >= 0)
        torch._check(most <= x.shape[1])
        return x[:, :most]


BATCH = torch.export.Dim("batch")
GRID = torch.tensor([[2.0, 3.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 5.0]])


@pytest.mark.parametrize(
    ("module", "example", "axes"),
    [
        (Halves(), GRID.repeat(2, 1), {0: 2 * torch.export.Dim("half")}),
        (Kept(), GRID, {0: BATCH}),
        (Places(), GRID, {0: BATCH}),
        (
            Larger(),
            GRID[None].repeat(2, 1, 1),
            {0: BATCH, 1: torch.export.Dim("h"), 2: torch.export.Dim("w")},
        ),
        (Scaled(), GRID, {0: BATCH}),
        (Cut(), GRID, {0: BATCH}),
    ],
    ids=["twice", "mask", "nonzero", "interpolate", "item", "slice"],
)
def test_with_sizes_that_are_computed_answers_as_its_module_does(save_export, load, module, example, axes):
    answers = load(save_export(module, (example,), axes=(axes,))).predict({"x": example.numpy()})
    np.testing.assert_allclose(answers["output"], module(example).numpy(), rtol=1e-6)


class Halved(torch.nn.Module):
    """Another program for an odd number of columns, which an export of an even one does not hold."""

    def forward(self, x):
        return x[:, ::2] + x[:, 1::2] if x.shape[1] % 2 == 0 else x


class Wider(torch.nn.Module):
    def forward(self, x, y):
        return x.sum(1) if x.shape[1] > y.shape[1] else y.sum(1)


ANY = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}


@pytest.mark.parametrize("strict", [False, True])
class TestThatTookABranch:
    """It holds the branch that was taken for the example, and answers only lengths that take the same."""

    def test_refuses_lengths_of_the_other(self, save_export, load, strict):
        model = load(save_export(Halved(), (torch.zeros(2, 4),), axes=(ANY,), strict=strict))
        assert model.predict({"x": ONES.repeat(2, 1)})["output"].tolist() == [[2, 2, 2]] * 3
        with pytest.raises(InvalidInput) as caught:
            model.predict({"x": ONES})
        assert caught.value.message == (
            "input 'x' has shape [3, 3]; the program was exported for x.shape[1] % 2 == 0"
        )

    def test_between_inputs_tells_all_of_them_by_their_declared_names(self, save_export, load, strict):
        path = save_export(Wider(), (torch.zeros(2, 4), torch.zeros(2, 3)), axes=(ANY, ANY), strict=strict)
        tensor = "datatype: FP32, shape: [-1, -1]"
        (path.parent / "modelserve.yaml").write_text(
            f"signature: {{inputs: [{{name: long, {tensor}}}, {{name: short, {tensor}}}]}}"
        )
        model = load(path.parent)
        assert model.predict({"long": ONES, "short": ONES[:, :2]})["output"].tolist() == [3, 3, 3]
        with pytest.raises(InvalidInput) as caught:
            model.predict({"long": ONES, "short": ONES})
        assert caught.value.message == (
            "input 'long' has shape [3, 3] and 'short' has shape [3, 3]; the program was exported for "
            "long.shape[1] > short.shape[1]"
        )


@pytest.mark.parametrize(
    ("shape", "told"),
    [((1, 3), "x.shape[1] >= 4"), ((1, 9), "x.shape[1] <= 8"), ((17, 5), "x.shape[0] <= 16")],
)
def test_refuses_lengths_beyond_the_bounds_of_its_export(save_export, load, shape, told):
    axes = {0: torch.export.Dim("batch", max=16), 1: torch.export.Dim("length", min=4, max=8)}
    model = load(save_export(Affine(), (torch.zeros(2, 6),), axes=(axes,)))
    assert model.predict({"x": np.ones((16, 8), np.float32)})
    with pytest.raises(InvalidInput) as caught:
        model.predict({"x": np.ones(shape, np.float32)})
    assert caught.value.message == f"input 'x' has shape {list(shape)}; the program was exported for {told}"


def test_fails_on_what_it_can_not_take_and_works_on(affine, load):
    model = load(affine)
    with pytest.raises(ModelFailed) as caught:
        model.predict({"x": np.ones((2, 5), np.float32)})
    assert "\n" not in caught.value.message
    assert model.predict({"x": ONES})


class TestThatIsHostile:
    """Whatever PyTorch would run from the file is refused or left out, and none of it runs."""

    @pytest.fixture(autouse=True)
    def nothing_ran(self, tmp_path):
        self.trace = tmp_path / "ran"
        self.call = f"__import__('os').mkdir('{self.trace}')"
        yield
        assert not self.trace.exists()

    def model(self, change):
        return {"models/model.json": change}

    @pytest.mark.parametrize(
        "target",
        [
            "torch.os.system",
            "torch.ops.aten.from_file.default",
            "torch.ops.load_library",
            "torch.hub.load",
            "torch.load",
            "_operator.methodcaller",
            "torch.ops.aten.add.__class__",
            "torch.ops.aten.__and__.__class__",
            "torch.ops.aten.__class__.Tensor",
            "torch.ops.aten.add.Tensor.__call__",
            "math.__loader__",
            "#extension.anything",
            "builtins.exec",
        ],
    )
    def test_by_its_operators(self, rewrite, target):
        def change(document):
            document["graph_module"]["graph"]["nodes"][0]["target"] = target

        assert f"says target: {target!r}, which no export of a program over tensors says" in refusal(
            rewrite(self.model(change))
        )

    @pytest.mark.parametrize(
        "size",
        [
            "{}", "exec(chr(95))", "Symbol('s0').__class__", "s0.free_symbols", "lambda: s0", "[s0]", "s0;s1",
            "Float('1.5', precision=99999)", "Float('1.5')", "Float('{}', precision=53)", "'1.5'",
            "Float('1.5', precision=53).n", "GreaterThan.__class__", "Equality('exec', s0)", "Float",
            "sFloat('1', precision=5)", "'Float('1', precision=5)'", "Float('1', precision=5)(s0)",
            "Float('1', precision=5).Float('1', precision=5)",
        ],
    )  # fmt: skip
    def test_by_its_sizes(self, rewrite, size):
        def change(document):
            meta = document["graph_module"]["graph"]["tensor_values"]["x"]
            meta["sizes"][0]["as_expr"]["expr_str"] = size.replace("{}", self.call)

        assert "says expr_str: " in refusal(rewrite(self.model(change)))

    @pytest.mark.parametrize("key", ["{}", "exec", "s0.free_symbols", "2*[s0]"])
    def test_by_what_bounds_its_sizes(self, rewrite, key):
        def change(document):
            bounds = document["range_constraints"]
            bounds[key.replace("{}", self.call)] = bounds.pop(next(iter(bounds)))

        assert "says expr_str: " in refusal(rewrite(self.model(change)))

    @pytest.mark.parametrize("name", ['a"b', "a'b", "a\\b", "a\nb", "a{b}", "a(b)"])
    def test_by_the_names_of_its_parts(self, rewrite, name):
        def change(document):
            document["graph_module"]["module_call_graph"][0]["fqn"] = name

        assert f"says fqn: {name!r}" in refusal(rewrite(self.model(change)))

    def test_by_its_names(self, rewrite):
        def change(document):
            (top, *_) = document["graph_module"]["module_call_graph"]
            top["signature"]["forward_arg_names"] = [f"x=({self.call})"]

        assert "says forward_arg_names: " in refusal(rewrite(self.model(change)))

    def test_by_its_nesting(self, rewrite):
        def change(document):
            (top, *_) = document["graph_module"]["module_call_graph"]
            top["signature"]["in_spec"] = top["signature"]["in_spec"].replace("builtins.dict", "os.PathLike")

        assert "says in_spec: " in refusal(rewrite(self.model(change)))

    @pytest.mark.parametrize(
        "name", ["x=exec({!r})", "x', **{!r}: ", "x):\n    {}\n    def f(x", "a-b", "1", ""]
    )
    @pytest.mark.parametrize("more", [True, False])
    def test_by_the_names_of_its_arguments(self, rewrite, name, more):
        """PyTorch writes them into the head of a function, whose text it runs."""

        def change(document):
            held = document["graph_module"]["module_call_graph"][0]["signature"]
            version, tree = json.loads(held["in_spec"])
            by_name = tree["children_spec"][1]
            by_name["context"] = json.dumps([name.replace("{}", self.call).replace("{!r}", repr(self.call))])
            if more:
                by_name["children_spec"] = [tree["children_spec"][0]["children_spec"][0]]
            held["in_spec"] = json.dumps([version, tree])

        assert "says in_spec: " in refusal(rewrite(self.model(change)))

    def test_by_its_guards(self, rewrite):
        def change(document):
            document["guards_code"] = [self.call]

        assert f"exported under a condition that can't be checked here: {self.call!r}"[:60] in refusal(
            rewrite(self.model(change))
        )

    def test_by_its_notes(self, rewrite, load):
        def change(document):
            document["graph_module"]["graph"]["nodes"][0]["metadata"]["stack_trace"] = f"\n{self.call}\n"

        np.testing.assert_array_equal(
            load(rewrite(self.model(change))).predict({"x": ONES})["output"], ONES * 3
        )

    def test_by_its_sample_inputs(self, rewrite, load):
        buffer = io.BytesIO()
        torch.save(Opener(self.trace), buffer)
        model = load(rewrite({"data/sample_inputs/model.pt": buffer.getvalue()}))
        assert model.predict({"x": ONES})

    @pytest.mark.parametrize("name", ["weights", "constants"])
    def test_by_its_pickled_tensors(self, rewrite, name):
        def change(document):
            document["config"]["w"] = {"path_name": "tensor_0", "use_pickle": True, "is_param": False}

        file = f"data/{name}/model_{name}_config.json"
        assert f"keeps w of {file} in a pickle; export plain tensors" in refusal(rewrite({file: change}))

    @pytest.mark.parametrize(
        "name",
        [
            "data/constants/opaque_obj_0",
            "data/constants/custom_obj_0",
            "data/constants/model.pt",
            "data/weights/model.pt",
            "data/aotinductor/model/model.so",
            "models/second.json",
            "data/WEIGHTS/weight_0",
        ],
    )
    def test_by_its_other_files(self, rewrite, name):
        content = pickle.dumps(Opener(self.trace))
        assert f"holds {name}, which is no tensor" in refusal(rewrite({name: content}))

    def test_by_two_files_of_one_name(self, affine):
        import zipfile

        with zipfile.ZipFile(affine, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(archive.namelist()[0], b"")
        assert "where it should not" in refusal(affine)


class Opener:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_leaves_nothing_in_the_users_folders(affine, tmp_path):
    """PyTorch's compiler would make a folder of its own beside all temporary files."""
    (tmp_path / "user").mkdir()
    (tmp_path / "tmp").mkdir()
    code = (
        "import sys; from pathlib import Path; from modelserve.packages import open_package;"
        "from modelserve.runtimes import runtime_for; package = open_package(Path(sys.argv[1]));"
        "runtime_for(package.runtime).load(package)"
    )
    places = {"HOME": str(tmp_path / "user"), "TMPDIR": str(tmp_path / "tmp")}
    known = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-c", code, str(affine)]
    subprocess.run(command, env={**known, **places, "PYTHONDONTWRITEBYTECODE": "1"}, check=True, timeout=100)
    assert [*(tmp_path / "user").iterdir(), *(tmp_path / "tmp").iterdir()] == []
