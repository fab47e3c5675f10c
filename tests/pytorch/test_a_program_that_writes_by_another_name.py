"""A program that writes to what an operator answered with: what is told of it is what a run changes."""

import importlib.util
from dataclasses import astuple

import pytest
import torch

from modelserve._kit.torch_writes import Writes, writes_of_program, writes_of_script

SAME = [
    "h.type_as(x)", "h.sum_to_size([2, 4])", "torch.unsafe_chunk(h, 2)[0]", "torch.unsafe_split(h, 1)[0]",
    "torch.conj_physical(h)", "h.to_dense()", "torch._cast_Float(h)", "torch.cartesian_prod(h[0])",
    "torch.ops.aten._unsafe_view(h, [2, 4])", "torch.broadcast_tensors(h, x)[0]", "h.dequantize()",
    "torch.atleast_2d(h)", "torch.einsum('ij->ij', h)", "torch.meshgrid([h[0]], indexing='ij')[0]",
    "torch.dropout(h, 0.1, False)", "torch.alpha_dropout(h, 0.1, False)",
    "h.type_as(x).view(4, 2).type_as(x)", "torch.feature_dropout(h, 0.1, False)", "h.float()",
    "h.to(torch.float32)", "h.contiguous()", "h[:, 1:]", "h.reshape_as(x)", "h.view_as(x)",
    "h.expand(2, 4)", "h.unflatten(1, [2, 2])", "torch.movedim(h, 0, 1)", "torch.tensor_split(h, 2)[0]",
    "torch.split(h, 1)[0]", "torch.chunk(h, 2)[0]", "torch.unbind(h)[0]", "torch.real(h)",
    "torch.positive(h)", "h.detach()", "h.ravel()", "h.unfold(0, 1, 1)", "h.flatten(1)",
]  # fmt: skip
"""What answers with its input, ``h``, or with a view of it."""
OWN = [
    "h + 1", "h.clone()", "torch.relu(h)", "torch.where(x > 99, x, h)", "torch.clamp(h, -99, 99)",
    "(h + 1).cos()", "torch.nn.functional.linear(h, torch.eye(4))", "torch.matmul(h, torch.eye(4))",
    "torch.cat([h])", "torch.hstack([h])", "torch.column_stack([h])", "torch.nn.functional.softmax(h, 1)",
    "torch.tile(h, [1, 1])", "torch.nn.functional.layer_norm(h, [4])", "torch.nn.functional.relu6(h)",
    "torch.nn.functional.selu(h)", "torch.nn.functional.pad(h, [0, 0])",
    "torch.nn.functional.max_pool1d(h, 1)", "torch.round(h)",
    "torch.nn.functional.adaptive_avg_pool1d(h, 4)", "torch.nn.functional.conv1d(h, torch.ones(2, 2, 1))",
    "torch.nn.functional.batch_norm(h, torch.zeros(4), torch.ones(4))", "torch.square(h)",
    "torch.clip(h, -9, 9)", "torch.nn.functional.normalize(h)", "torch.fix(h)",
    "torch.kron(torch.ones(1, 1), h)", "torch.sigmoid(h)", "(h * 2).type_as(x)",
    "torch.dropout(h * 2, 0.1, False)", "(h * 2).sum_to_size([2, 4])",
]  # fmt: skip
"""What answers with memory of its own, whose writers write to nobody else."""
TEMPLATE = """
import torch


class Buffer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("h", torch.ones(2, 4))

    def forward(self, x):
        h = self.h
        y = {operation}
        y.add_(1)
        return x * 0 + y.sum()


class Given(torch.nn.Module):
    def forward(self, x):
        h = x
        y = {operation}
        y.add_(1)
        return x * 0 + y.sum()
"""
ROWS = torch.full((2, 4), 0.5)


@pytest.fixture
def module(tmp_path, request):
    """``Buffer`` or ``Given`` of an operation; TorchScript reads a module's code from its file."""

    def of(kind, operation):
        path = tmp_path / "written.py"
        path.write_text(TEMPLATE.format(operation=operation))
        spec = importlib.util.spec_from_file_location("written", path)
        written = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(written)
        return getattr(written, kind)().eval()

    return of


def scripted(module):
    program = torch.jit.script(module)
    return writes_of_script(program), program


def traced(module):
    program = torch.jit.trace(module, ROWS.clone(), check_trace=False)
    return writes_of_script(program), program


def exported(module):
    program = torch.export.export(module, (ROWS.clone(),))
    return writes_of_program(program), program.module()


def functional(module):
    program = torch.export.export(module, (ROWS.clone(),)).run_decompositions()
    return writes_of_program(program), program.module()


def changed(program):
    """What a run writes to."""
    kept, rows = {name: value.clone() for name, value in program.state_dict().items()}, ROWS.clone()
    with torch.inference_mode():
        program(rows)
    return Writes(
        any(not torch.equal(value, kept[name]) for name, value in program.state_dict().items()),
        not torch.equal(rows, ROWS),
    )


@pytest.mark.parametrize("form", [scripted, traced, exported, functional])
@pytest.mark.parametrize("kind", ["Buffer", "Given"])
@pytest.mark.parametrize("operation", SAME)
def test_is_not_missed(module, form, kind, operation):
    told, program = form(module(kind, operation))
    done = changed(program)
    assert all(said >= did for said, did in zip(astuple(told), astuple(done), strict=True))
    assert form is functional or any(astuple(done)), "not an example of such an operator"


@pytest.mark.parametrize("form", [scripted, exported])
@pytest.mark.parametrize("kind", ["Buffer", "Given"])
@pytest.mark.parametrize("operation", OWN)
def test_is_told_from_one_that_writes_to_its_own(module, form, kind, operation):
    told, program = form(module(kind, operation))
    assert told == changed(program) == Writes()


@pytest.mark.parametrize("operation", ["h.type_as(x)", "torch.broadcast_tensors(h, x)[0]"])
def test_answers_as_before_it_was_looked_at(module, operation):
    looked_at, untouched = (torch.jit.script(module("Buffer", operation)) for _ in range(2))
    code = looked_at.inlined_graph.str()
    assert writes_of_script(looked_at).kept
    assert looked_at.inlined_graph.str() == code
    assert torch.equal(looked_at(ROWS), untouched(ROWS))
