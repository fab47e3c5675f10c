"""A TorchScript program ..."""

import numpy as np
import pytest
import torch

from modelserve.errors import InvalidPackage, ModelFailed
from modelserve.packages import open_package


class Pair(torch.nn.Module):
    def forward(self, left, right):
        return left - right, left + right


class Named(torch.nn.Module):
    def forward(self, x):
        return {"twice": x * 2, "same": x}


class Partly(torch.nn.Module):
    def forward(self, x):
        nothing: torch.Tensor | None = None
        return nothing, x * 2, (nothing, x)


class Texts(torch.nn.Module):
    def forward(self, x):
        return "none", x


class Files(torch.nn.Module):
    def forward(self, x):
        torch.save(x, "stolen")
        return x


def declare(folder, inputs, outputs):
    def side(names):
        return ", ".join(f"{{name: {name}, datatype: FP32, shape: [-1, 2]}}" for name in names)

    (folder / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{side(inputs)}], outputs: [{side(outputs)}]}}"
    )


@pytest.fixture
def script(tmp_path, load):
    def of(module, inputs, outputs):
        torch.jit.save(torch.jit.script(module.eval()), tmp_path / "model.pt")
        declare(tmp_path, inputs, outputs)
        return load(tmp_path)

    return of


TWO, ONE = np.full((1, 2), 2, np.float32), np.ones((1, 2), np.float32)


def test_gets_its_inputs_by_the_names_of_its_arguments(script):
    model = script(Pair(), ["right", "left"], ["difference", "sum"])
    answers = model.predict({"right": ONE, "left": TWO})
    assert answers["difference"].tolist() == [[1, 1]]
    assert answers["sum"].tolist() == [[3, 3]]


def test_gets_its_inputs_in_order_under_other_names(script):
    model = script(Pair(), ["a", "b"], ["difference", "sum"])
    assert model.predict({"b": ONE, "a": TWO}, ["difference"])["difference"].tolist() == [[1, 1]]


def test_with_some_of_its_names_is_refused(script):
    with pytest.raises(InvalidPackage, match="declares 'left', 'b', but forward\\(\\) takes 'left', 'right'"):
        script(Pair(), ["left", "b"], ["difference", "sum"])


def test_with_a_dictionary_answers_by_its_keys(script):
    answers = script(Named(), ["x"], ["same", "twice"]).predict({"x": ONE})
    assert answers["twice"].tolist() == [[2, 2]]
    assert answers["same"].tolist() == [[1, 1]]


def test_answers_without_what_is_none(script):
    answers = script(Partly(), ["x"], ["twice", "same"]).predict({"x": ONE})
    assert [answers[name].tolist() for name in ("twice", "same")] == [[[2, 2]], [[1, 1]]]


def test_that_answers_otherwise_than_declared_fails_as_a_model(script):
    with pytest.raises(ModelFailed, match="the model gave 2 tensors; its signature has 1 outputs"):
        script(Pair(), ["left", "right"], ["sum"]).predict({"left": ONE, "right": TWO})
    with pytest.raises(ModelFailed, match="the model answered with a str; tensors are wanted"):
        script(Texts(), ["x"], ["text", "same"]).predict({"x": ONE})


def test_may_be_traced(tmp_path, load):
    torch.jit.save(torch.jit.trace(Pair(), (torch.ones(2, 2),) * 2), tmp_path / "model.ts")
    declare(tmp_path, ["left", "right"], ["difference", "sum"])
    assert load(tmp_path).predict({"left": TWO, "right": ONE})["sum"].tolist() == [[3, 3]]


def test_that_writes_files_is_refused(script):
    with pytest.raises(InvalidPackage, match=r"model\.pt: calls torch\.save, which touches files"):
        script(Files(), ["x"], ["y"])


@pytest.mark.parametrize(
    "content", [Pair(), Pair().state_dict(), torch.ones(3)], ids=["module", "weights", "tensor"]
)
def test_is_not_a_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InvalidPackage, match="is a checkpoint"):
        open_package(tmp_path / "model.pt")


def test_is_not_a_checkpoint_of_old(tmp_path):
    torch.save(Pair(), tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InvalidPackage, match="is not an archive of PyTorch, or is truncated"):
        open_package(tmp_path / "model.pt")
