"""Layout: an MLflow model folder, read without MLflow.

``MLmodel`` lists flavors: the same model for different libraries. The first that an engine here runs without
a pickle is served, in the order of ``_FLAVORS``; its file is then read as the layout of that file would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelserve.domain.models import ModelPackage, Runtime, Task
from modelserve.errors import InvalidPackage
from modelserve.packages.bare_onnx import BARE_ONNX
from modelserve.packages.declaration import read_declaration
from modelserve.packages.lightgbm import LIGHTGBM
from modelserve.packages.mlmodel import MLMODEL, declared_in, read_mlmodel
from modelserve.packages.reading import inside
from modelserve.packages.single_file import SingleFile, check_tensors_only
from modelserve.packages.sklearn import SKLEARN
from modelserve.packages.torch import TORCH
from modelserve.packages.xgboost import XGBOOST


@dataclass(frozen=True)
class _Flavor:
    """The key of a flavor that names its file, and what its file is read as."""

    file: SingleFile
    key: str
    sides: tuple[str, ...]
    """Sides of the MLmodel's signature that count; the rest is told better by the file."""
    advice: str = ""
    """What to do about a file that is a pickle."""
    missing: bool = False
    """Whether its engine takes one matrix of floats, in which NaN says that a value is missing."""


_SIDES = ("inputs", "outputs")
_FLAVORS = {
    "onnx": _Flavor(BARE_ONNX, "data", ()),
    "xgboost": _Flavor(XGBOOST, "data", ("inputs",), missing=True),
    "lightgbm": _Flavor(
        LIGHTGBM,
        "data",
        ("inputs",),
        "log the booster itself: mlflow.lightgbm.log_model(model.booster_, ...)",
        missing=True,
    ),
    "pytorch": _Flavor(TORCH, "model_data", _SIDES, "log an exported program, or torch.jit.script(model)"),
    "sklearn": _Flavor(SKLEARN, "pickled_model", ("inputs",), missing=True),
}
_PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle")
_INSIDE_PYTORCH = ("model.pt2", "model.pth", "model.pt")


class MLflow:
    """A folder with a file MLmodel."""

    name = "mlflow"
    runtimes = frozenset(flavor.file.runtime for flavor in _FLAVORS.values())

    def matches(self, path: Path) -> bool:
        return path.is_dir() and (path / MLMODEL).is_file()

    def read(self, path: Path, task: Task | None = None, runtime: Runtime | None = None) -> ModelPackage:
        """The package of the first flavor that can be served. Raises InvalidPackage, with all reasons."""
        mlmodel = read_mlmodel(path)
        declaration = read_declaration(path)
        check_tensors_only(path, task or declaration.task)
        flavor, file = _choose(path, mlmodel["flavors"], runtime)
        pickled = file.suffix in flavor.file.pickles
        told = declared_in(mlmodel, _SIDES if pickled else flavor.sides, flavor.missing)
        return flavor.file.package(path, file, told.under(declaration), layout=self.name)


def _choose(folder: Path, flavors: Mapping[str, Any], runtime: Runtime | None) -> tuple[_Flavor, Path]:
    refusals = []
    for name, flavor in _wanted(flavors, runtime):
        file = _file(folder, name, flavor, flavors[name])
        if isinstance(file, Path):
            return flavor, file
        refusals.append(file)
    if "python_function" in flavors and not refusals:
        refusals.append(
            "python_function is a pickle of Python code; log the model with a flavor of its own library, "
            "or serve it as a package with code of its own (runtime python)"
        )
    asked = f" for runtime {runtime}" if runtime else ""
    reasons = "; ".join(refusals) or f"it has {', '.join(flavors)}; {', '.join(_FLAVORS)} can be"
    raise InvalidPackage(f"{MLMODEL}: no flavor can be served{asked}: {reasons}")


def _wanted(flavors: Mapping[str, Any], runtime: Runtime | None) -> Iterator[tuple[str, _Flavor]]:
    for name, flavor in _FLAVORS.items():
        if name in flavors and runtime in (None, flavor.file.runtime):
            yield name, flavor


def _file(folder: Path, name: str, flavor: _Flavor, told: Any) -> Path | str:
    """The flavor's file, or why it can't be served."""
    given = told.get(flavor.key) if isinstance(told, dict) else None
    if not isinstance(given, str):
        return f"{name} has no {flavor.key}"
    names = [f"{given}/{inner}" for inner in _INSIDE_PYTORCH] if name == "pytorch" else [given]
    found = next((file for each in names if (file := inside(folder, each)) is not None), None)
    if found is None:
        return f"{name}: there is no {' or '.join(names)} in the folder"
    if found.suffix in _PICKLES and flavor.advice:
        return f"{name}: {found.name} is a pickle, and reading one runs code; {flavor.advice}"
    return found
