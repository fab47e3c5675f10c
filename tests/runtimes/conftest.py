"""Tiny graphs, and one tiny trained model for each engine."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import ModelPackage, Task
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.runtimes.base import Model

KINDS = {
    DataType.FP32: TensorProto.FLOAT,
    DataType.INT64: TensorProto.INT64,
    DataType.BYTES: TensorProto.STRING,
}


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., ModelPackage]:
    """A package around nodes; tensors are given as specs."""

    def build(nodes: Any, inputs: Any, outputs: Any, weights: Any = ()) -> ModelPackage:
        def values(specs: Any) -> Any:
            return [
                helper.make_tensor_value_info(
                    spec.name,
                    KINDS[spec.datatype],
                    [f"axis{i}" if axis < 0 else axis for i, axis in enumerate(spec.shape)],
                )
                for spec in specs
            ]

        initializers = [numpy_helper.from_array(array, name) for name, array in dict(weights).items()]
        graph = helper.make_graph(nodes, "graph", values(inputs), values(outputs), initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.save(model, tmp_path / "model.onnx")
        return ModelPackage(
            path=tmp_path,
            digest="0" * 64,
            layout="onnx",
            task=Task.TENSOR,
            model_file=tmp_path / "model.onnx",
            signature=Signature(tuple(inputs), tuple(outputs)),
        )

    return build


@pytest.fixture
def lookup(package: Callable[..., ModelPackage]) -> Model:
    """Row ``ids`` of a table of 4 rows, and the same doubled; fails for an id of 4 or more."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["row"], name="/embeddings/Gather"),
        helper.make_node("Add", ["row", "row"], ["double"]),
    ]
    ids = TensorSpec("ids", DataType.INT64, (-1, -1))
    outputs = [TensorSpec(name, DataType.FP32, (-1, -1, 2)) for name in ("row", "double")]
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    return runtime_for("onnx").load(package(nodes, [ids], outputs, {"table": table}))


@pytest.fixture
def echo(package: Callable[..., ModelPackage]) -> Model:
    """Text in, the same text out."""
    spec = TensorSpec("text", DataType.BYTES, (-1, -1))
    answer = TensorSpec("same", DataType.BYTES, (-1, -1))
    return runtime_for("onnx").load(
        package([helper.make_node("Identity", ["text"], ["same"])], [spec], [answer])
    )


@dataclass(frozen=True)
class Trained:
    """A model file, and what the library that trained it answers to ``rows``."""

    file: Path
    rows: Any
    answers: dict[str, Any]


def samples() -> tuple[Any, Any]:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(120, 4)).astype(np.float32)
    return rows, (rows[:, 0] + rows[:, 1] > 0).astype(np.int64)


def train_onnx(folder: Path) -> Trained:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rows, classes = samples()
    model = LogisticRegression().fit(rows, classes)
    graph = to_onnx(model, rows[:1], options={"zipmap": False}, target_opset=18)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    answers = {"label": model.predict(rows), "probabilities": model.predict_proba(rows)}
    return Trained(folder / "model.onnx", rows, answers)


def train_sklearn(folder: Path) -> Trained:
    import skops.io
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, classes = samples()
    forest = RandomForestClassifier(5, max_depth=3, n_jobs=2, random_state=0)
    model = make_pipeline(StandardScaler(), forest).fit(rows, classes)
    skops.io.dump(model, folder / "model.skops")
    answers = {"label": model.predict(rows), "probabilities": model.predict_proba(rows)}
    return Trained(folder / "model.skops", rows, answers)


def train_xgboost(folder: Path, file: str = "model.ubj") -> Trained:
    import xgboost

    rows, classes = samples()
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1).fit(rows, classes)
    model.save_model(folder / file)
    return Trained(folder / file, rows, {"prediction": model.predict_proba(rows)[:, 1]})


def train_xgboost_json(folder: Path) -> Trained:
    return train_xgboost(folder, "model.json")


def train_lightgbm(folder: Path) -> Trained:
    import lightgbm

    rows, classes = samples()
    told = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    model = lightgbm.train(told, lightgbm.Dataset(rows, classes + (rows[:, 2] > 1)), 5)
    model.save_model(folder / "model.txt")
    return Trained(folder / "model.txt", rows, {"prediction": model.predict(rows)})


def torch_program() -> Any:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.inner(x))

    torch.manual_seed(0)
    return Net().eval()


def train_torch_export(folder: Path) -> Trained:
    import torch

    rows, program = torch.from_numpy(samples()[0]), torch_program()
    axes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(program, (rows,), dynamic_shapes=axes), folder / "model.pt2")
    return Trained(folder / "model.pt2", rows.numpy(), {"output": program(rows).detach().numpy()})


def train_torch_script(folder: Path) -> Trained:
    import torch

    rows, program = torch.from_numpy(samples()[0]), torch_program()
    torch.jit.save(torch.jit.script(program), folder / "model.pt")
    (folder / "modelserve.yaml").write_text(
        "signature:\n"
        "  inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]\n"
        "  outputs: [{name: y, datatype: FP32, shape: [-1, 3]}]\n"
    )
    return Trained(folder / "model.pt", rows.numpy(), {"y": program(rows).detach().numpy()})


TRAIN = {
    "onnx": train_onnx,
    "sklearn": train_sklearn,
    "xgboost": train_xgboost,
    "xgboost-json": train_xgboost_json,
    "lightgbm": train_lightgbm,
}
if importlib.util.find_spec("torch"):  # `make test-torch` sees to it
    TRAIN |= {"torch-export": train_torch_export, "torch-script": train_torch_script}


@pytest.fixture(scope="session", params=TRAIN)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One trained model for each format that an engine reads, in a folder of its own."""
    return TRAIN[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture
def opened() -> Callable[[Path], Any]:
    """Opens a package and loads its model; what was loaded is closed again."""

    @contextmanager
    def of(path: Path) -> Iterator[Model]:
        package = open_package(path)
        model = runtime_for(package.runtime).load(package)
        yield model
        model.close()

    return of
