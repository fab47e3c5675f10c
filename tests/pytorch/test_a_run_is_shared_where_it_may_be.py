"""Which programs' requests may share a run: by the symbols of the export, and by a trial."""

from __future__ import annotations

import importlib

import pytest
import torch

from modelserve.batching.cost import CostModel
from modelserve.batching.sharing import TOGETHER
from modelserve.errors import InvalidPackage
from modelserve.packages import open_package
from modelserve.serving.loading import load
from modelserve.serving.logs import EventLog
from modelserve.serving.warming.warmup import warm_up
from modelserve.settings import ServerSettings


@pytest.fixture
def sharing(tmp_path):
    def of(package):
        told = {"service": "m", "revision": "m-1", "package": package, "threads": 1}
        loaded = load(ServerSettings.model_validate(told))
        with (tmp_path / "events").open("wb") as file:
            return warm_up(loaded, 4, EventLog(file.fileno()), CostModel()).sharing

    return of


class Rows(torch.nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=1)


class Sums(torch.nn.Module):
    def forward(self, x):
        return torch.cumsum(x, dim=0)


class Normalised(torch.nn.Module):
    """Batch normalisation that was left in training mode, whatever the module's own mode."""

    def forward(self, x):
        columns = x.unsqueeze(2).expand(-1, -1, 2)
        return torch.nn.functional.batch_norm(columns, None, None, training=True, eps=1.0)[:, :, 0]


class Pairs(torch.nn.Module):
    """Two rows of the output for one of the input."""

    def forward(self, x):
        return torch.cat([x, -x])


EXAMPLE = (torch.zeros(2, 3),)


def test_of_an_exported_program_whose_rows_are_independent(save_export, sharing):
    assert sharing(save_export(Rows(), EXAMPLE)) == TOGETHER


def test_not_of_one_that_adds_up_along_the_first_axis(save_export, sharing):
    assert 'output "output" changes in company' in sharing(save_export(Sums(), EXAMPLE)).why


def test_not_of_one_whose_output_has_other_rows(save_export, sharing):
    package = save_export(Pairs(), EXAMPLE)
    (output,) = open_package(package).signature.outputs
    assert output.first_axis != open_package(package).signature.inputs[0].first_axis
    assert 'calls its first axis "' in sharing(package).why


class InPairs(torch.nn.Module):
    """Answers rows one by one, but holds nothing for an odd number of them."""

    def forward(self, x):
        return x * 2 if x.shape[0] % 2 == 0 else x


def test_not_of_one_that_was_exported_for_some_numbers_of_rows(save_export, sharing, tmp_path):
    axes = ({0: torch.export.Dim.DYNAMIC},)
    package = save_export(InPairs(), EXAMPLE, axes=axes)
    assert sharing(package).why == "its program is made for runs with x.shape[0] % 2 == 0"
    (tmp_path / "modelserve.yaml").write_text("batching: true")
    assert sharing(package.parent).why == "its program is made for runs with x.shape[0] % 2 == 0"


@pytest.mark.parametrize(
    ("most", "why"),
    [
        (8, ""),
        (3, "5 rows in one run: input 'x' has shape [5, 3]; the program was exported for x.shape[0] <= 3"),
    ],
)
def test_as_far_as_the_bounds_of_an_export_allow(save_export, sharing, most, why):
    axes = ({0: torch.export.Dim("batch", max=most)},)
    assert sharing(save_export(Rows(), EXAMPLE, axes=axes)).why == why


class Joined(torch.nn.Module):
    def forward(self, x, y):
        return x + y


def test_of_one_whose_inputs_have_as_many_rows(save_export, sharing):
    axes = ({0: torch.export.Dim.DYNAMIC},) * 2
    assert sharing(save_export(Joined(), EXAMPLE * 2, axes=axes)) == TOGETHER


class AsManyAsTheLargest(torch.nn.Module):
    """As many columns as the largest number of all rows says."""

    def forward(self, x):
        most = x.abs().max().clamp(max=1000).int().item()
        torch._check(most >= 0)
        return torch.cat([x, x.new_zeros(x.shape[0], most)], dim=1)


def test_not_of_one_whose_output_is_as_long_as_the_rows_of_a_run_say(save_export, sharing):
    package = save_export(AsManyAsTheLargest(), EXAMPLE)
    assert 'the first axis of output "output" has no name' in sharing(package).why


@pytest.mark.parametrize(("module", "rows"), [(Rows, True), (Sums, False), (Normalised, False)])
def test_of_a_torchscript_as_a_trial_shows(tmp_path, sharing, module, rows):
    folder = tmp_path / "package"
    folder.mkdir()
    torch.jit.script(module()).save(folder / "model.ts")
    tensor = "datatype: FP32, shape: [-1, 3]"
    (folder / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert sharing(folder).rows is rows


class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layer = torch.nn.Sequential(torch.nn.Linear(3, 3))
        self.inner = torch.ao.quantization.quantize_dynamic(layer, {torch.nn.Linear}, torch.qint8)

    def forward(self, x):
        return self.inner(x)


class ScaledItself(torch.nn.Module):
    def forward(self, x):
        return torch.quantize_per_tensor_dynamic(x, torch.qint8, False).dequantize()


@pytest.mark.parametrize(
    ("module", "operator"), [(Scaled, "linear_dynamic"), (ScaledItself, "quantize_per_tensor_dynamic")]
)
def test_not_of_a_torchscript_with_one_scale_for_all_rows(tmp_path, sharing, module, operator):
    folder = tmp_path / "package"
    folder.mkdir()
    torch.jit.script(module()).save(folder / "model.ts")
    tensor = "datatype: FP32, shape: [-1, 3]"
    told = f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}\n"
    (folder / "modelserve.yaml").write_text(told)
    assert sharing(folder).why == f"its operator {operator} looks at all rows of a run together"
    (folder / "modelserve.yaml").write_text(f"{told}batching: true\n")
    with pytest.raises(InvalidPackage, match='output "y" changes in company'):
        sharing(folder)


class ScaledInAnExport(torch.nn.Module):
    def forward(self, x):
        told = (-128, 127, 1e-9, torch.int8)
        scale, zero = torch.ops.quantized_decomposed.choose_qparams.tensor(x, *told)
        whole = torch.ops.quantized_decomposed.quantize_per_tensor.tensor(
            x, scale, zero, -128, 127, torch.int8
        )
        return torch.ops.quantized_decomposed.dequantize_per_tensor.tensor(
            whole, scale, zero, -128, 127, torch.int8
        )


def test_not_of_an_exported_program_with_one_scale_for_all_rows(save_export, sharing):
    importlib.import_module("torch.ao.quantization.fx._decomposed")  # makes these operators known
    package = save_export(ScaledInAnExport(), EXAMPLE)
    assert sharing(package).why == "its operator choose_qparams looks at all rows of a run together"


class InPlace(torch.nn.Module):
    def forward(self, x):
        return x.mul_(2)


def test_of_one_that_changes_its_input_which_it_has_to_itself(save_export, sharing, tmp_path):
    assert sharing(save_export(InPlace(), EXAMPLE)) == TOGETHER
    folder = tmp_path / "package"
    folder.mkdir()
    torch.jit.script(InPlace()).save(folder / "model.ts")
    tensor = "datatype: FP32, shape: [-1, 3]"
    (folder / "modelserve.yaml").write_text(
        f"signature: {{inputs: [{{name: x, {tensor}}}], outputs: [{{name: y, {tensor}}}]}}"
    )
    assert sharing(folder) == TOGETHER
