"""A program that writes to what it keeps, or to what it is given ..."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from modelserve.runtimes.base import why_turns
from modelserve.serving.settling import usual
from modelserve.settings import ServerSettings

ROWS = torch.arange(8.0).reshape(2, 4)
TENSOR = "datatype: FP32, shape: [-1, 4]"


def slow(x: torch.Tensor) -> torch.Tensor:
    """Nothing, after a while."""
    w = torch.ones(300, 300)
    for _ in range(3):
        w = w @ w * 1e-3
    return x + 0 * w[0, 0]


class Attribute(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.h = torch.zeros(1, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.h = x * 2
        return slow(x) * 0 + self.h


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Attribute()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


class Buffer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("h", torch.zeros(1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.h.copy_(x[:1] * 2)
        return slow(x) * 0 + self.h


class Answered(Buffer):
    """Its answer lies in its buffer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = self.h.copy_(x[:1] * 2)
        slow(x)
        return answer


class ThroughItsType(Buffer):
    """``type_as`` answers with its input where that has the type."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.h.type_as(x)
        h.copy_(x[:1] * 2)
        return slow(x) * 0 + h


class ThroughBroadcasting(Buffer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.broadcast_tensors(self.h, x)[0]
        h.copy_(x[:1] * 2)
        return slow(x) * 0 + h


class ThroughChunks(Buffer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.unsafe_chunk(self.h, 1)[0]
        h.copy_(x[:1] * 2)
        return slow(x) * 0 + h


class View(Buffer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.h[0].copy_(x[0] * 2)
        return x * 0 + self.h


class Function(Buffer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0 + filled(self.h, x)


def filled(h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return h.copy_(x[:1] * 2)


class Remembers(torch.nn.Module):
    seen: list[torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.seen = [torch.zeros(1, 4)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen[0].copy_(x[:1] * 2)
        return x * 0 + self.seen[0]


class Statistics(torch.nn.Module):
    """Batch normalisation in training mode moves its running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("variance", torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.batch_norm(x, self.mean, self.variance, training=True)


class Given(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)


class GivenInPart(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x[:, 1:].mul_(2)
        return x + 1


class GivenThroughItsType(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.type_as(x)
        return y.mul_(2)


class Own(torch.nn.Module):
    """In-place steps on what the run itself has made, and switches that are off."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(inplace=True), torch.nn.Dropout()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.dropout(self.layers(x), 0.1, self.training)
        y += x
        return y


class Recurrent(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(4, 4, batch_first=True)
        self.norm = torch.nn.BatchNorm1d(4)
        self.dropout = torch.nn.Dropout()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.lstm(x.unsqueeze(1))
        return torch.relu_(self.norm(self.dropout(y[:, 0])))


class Cell(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.GRUCell(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros_like(x)
        for _ in range(3):
            h = self.cell(x, h)
        return h.mul_(2)


class Attention(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder(x.unsqueeze(1))[:, 0]


class Pictures(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 2, 1), torch.nn.Dropout2d(), torch.nn.BatchNorm2d(2),
            torch.nn.SiLU(inplace=True), torch.nn.Conv2d(2, 4, 1), torch.nn.Dropout(inplace=True),
            torch.nn.ReLU6(inplace=True), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
            torch.nn.Hardswish(inplace=True),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.reshape(-1, 1, 2, 2))


@pytest.fixture
def scripted(tmp_path, load):
    def of(module):
        path = tmp_path / "model.pt"
        torch.jit.save(torch.jit.script(module.eval()), path)
        sides = f"inputs: [{{name: x, {TENSOR}}}], outputs: [{{name: output, {TENSOR}}}]"
        (tmp_path / "modelserve.yaml").write_text(f"signature: {{{sides}}}")
        return load(tmp_path)

    return of


def answered_right(model, threads=4, calls=60):
    """How many answers are twice the input, with several callers at once."""
    start = threading.Barrier(threads)

    def work(value):
        rows = np.full((1, 4), value, np.float32)
        start.wait()
        return sum(bool((model.predict({"x": rows})["output"] == 2 * value).all()) for _ in range(calls))

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(1, threads + 1)))


@pytest.mark.parametrize("module", [Attribute, Buffer, Answered, ThroughItsType, ThroughBroadcasting])
def test_gives_nobody_the_answer_of_another(scripted, module):
    assert answered_right(scripted(module())) == 240


@pytest.mark.parametrize("module", [Buffer, Answered, ThroughItsType, ThroughChunks])
def test_gives_nobody_the_answer_of_another_as_an_exported_program(save_export, load, module):
    assert answered_right(load(save_export(module(), (ROWS[:1],), axes=(None,)))) == 240


@pytest.mark.parametrize(
    "module", [Attribute, Inner, Buffer, Answered, View, Function, Remembers, Statistics]
)
def test_takes_one_run_at_a_time_and_has_one_worker(scripted, module):
    model = scripted(module())
    assert why_turns(model) == "its program writes to attributes or buffers that outlast a run"
    told = {"service": "m", "revision": "m-1", "package": "m", "threads": 4}
    assert usual(ServerSettings.model_validate(told), model).crew.workers == 1


@pytest.mark.parametrize("module", [Buffer, View, Function, Statistics])
@pytest.mark.parametrize("functional", [False, True])
def test_takes_one_run_at_a_time_as_an_exported_program(tmp_path, load, module, functional):
    """A functional program writes its buffers back at its end."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(module().eval(), (ROWS,), dynamic_shapes=({0: batch},))
    torch.export.save(program.run_decompositions() if functional else program, tmp_path / "model.pt2")
    assert why_turns(load(tmp_path / "model.pt2"))


@pytest.mark.parametrize("module", [Given, GivenInPart, GivenThroughItsType])
def test_leaves_what_it_is_given_to_its_caller(scripted, save_export, load, module):
    for model in (scripted(module()), load(save_export(module(), (ROWS.clone(),)))):
        rows = ROWS.clone().numpy()
        known = module()(ROWS.clone()).numpy()
        for _ in range(2):
            np.testing.assert_array_equal(model.predict({"x": rows})["output"], known)
        np.testing.assert_array_equal(rows, ROWS.numpy())
        assert not why_turns(model)


@pytest.mark.parametrize("module", [Own, Recurrent, Cell, Attention, Pictures])
def test_to_what_a_run_itself_has_made_runs_on_many_threads(scripted, save_export, load, module):
    for model in (scripted(module()), load(save_export(module(), (ROWS,)))):
        assert not why_turns(model)
