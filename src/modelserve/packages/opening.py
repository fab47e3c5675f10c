"""From a path to a package that is fit to serve, whatever its layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelserve.domain.models import ModelPackage, Runtime, Task
from modelserve.errors import InvalidPackage
from modelserve.packages.bare_onnx import BARE_ONNX
from modelserve.packages.base import Layout
from modelserve.packages.huggingface import HuggingFace
from modelserve.packages.lightgbm import LIGHTGBM
from modelserve.packages.mlflow import MLflow
from modelserve.packages.python_folder import PythonFolder
from modelserve.packages.reference import Reference
from modelserve.packages.single_file import SingleFile
from modelserve.packages.sklearn import SKLEARN
from modelserve.packages.torch import TORCH
from modelserve.packages.xgboost import XGBOOST

FOLDERS: tuple[Layout, ...] = (Reference(), PythonFolder(), MLflow(), HuggingFace())
"""Layouts that one file makes plain (model.py, MLmodel, config.json): the first that matches is the one."""
FILES: tuple[SingleFile, ...] = (BARE_ONNX, TORCH, SKLEARN, XGBOOST, LIGHTGBM)
"""Layouts of one model file, alone or in a folder: only one may match."""

_SUFFIXES = [suffix for layout in FILES for suffix in layout.suffixes if suffix not in layout.pickles]
_WEIGHTS = "weights alone are no model; export it with `optimum-cli export onnx --model MODEL FOLDER`"
_RENAMED = "an XGBoost model is told by its name: call it .ubj or .json, after its format"
_ELSEWHERE = {
    ".pth": "a .pth file is a checkpoint; save the program with torch.export.save() or torch.jit.save()",
    ".bin": _WEIGHTS,
    ".safetensors": _WEIGHTS,
    ".h5": "Keras models are not run; convert it with tf2onnx",
    ".keras": "Keras models are not run; convert it with `model.export(..., format='onnx')`",
    ".pb": "TensorFlow models are not run; convert it with tf2onnx",
    ".model": _RENAMED,
    ".bst": _RENAMED,
    ".cbm": "CatBoost models are not run as they are; save it with `model.save_model(..., format='onnx')`",
}


def open_package(path: Path, task: Task | None = None, runtime: Runtime | None = None) -> ModelPackage:
    """Read and check the package at ``path``, a folder or a bare model file.

    ``task`` overrides the package's own; ``runtime`` chooses among the engines that its files allow. Raises
    InvalidPackage that names the file and what would be right.
    """
    path = path.absolute()
    if not path.exists():
        raise InvalidPackage(f"{path}: there is no such file or folder")
    try:
        return _layout_of(path, runtime).read(path, task, runtime)
    except OSError as error:
        raise InvalidPackage(f"{error.filename or path}: can't be read: {error.strerror}") from error


def is_package(path: Path) -> bool:
    """Whether ``path`` is one package, whatever its layout, and not a folder of several; reads no weights.

    A folder with a model file is a package unless it holds a second ``.onnx`` or a folder that is a package.
    A folder whose files can't be understood is a broken package: whoever opens it is told why.
    """
    if path.is_file() or _is_whole(path):
        return True
    if not path.is_dir() or not _is_of_file(path):
        return False
    inside = tuple(path.iterdir())
    if sum(entry.suffix in BARE_ONNX.suffixes for entry in inside) > 1:
        return False
    return not any(_is_whole(entry) or _is_of_file(entry) for entry in inside if entry.is_dir())


def _is_whole(path: Path) -> bool:
    """Whether one file of the folder makes it a package, if only a broken one."""
    try:
        return any(layout.matches(path) for layout in FOLDERS)
    except InvalidPackage:
        return True


def _is_of_file(path: Path) -> bool:
    return any(layout.matches(path) for layout in FILES)


def _layout_of(path: Path, runtime: Runtime | None) -> Layout:
    if whole := next((layout for layout in FOLDERS if layout.matches(path)), None):
        return _for_runtime(path, runtime, [whole])
    if matching := [layout for layout in FILES if layout.matches(path)]:
        return _for_runtime(path, runtime, matching)
    raise InvalidPackage(
        f"{path}: not a model package{_hint(path)}; give a Hugging Face folder (config.json and model.onnx), "
        f"an MLflow model, a model file ({', '.join(_SUFFIXES)}) alone or in a folder, or a folder with "
        f"model.py and modelserve.yaml{_found(path)}"
    )


def _for_runtime(path: Path, runtime: Runtime | None, matching: Sequence[Layout]) -> Layout:
    fit = [layout for layout in matching if runtime is None or runtime in layout.runtimes]
    known = " and ".join(sorted({name for layout in matching for name in layout.runtimes}))
    if not fit:
        raise InvalidPackage(
            f"{path.name}: the spec asks for runtime {runtime}, but this is a model for {known}; "
            f"leave spec.model.runtime out, or give another model"
        )
    if len(fit) > 1:
        raise InvalidPackage(
            f"{path.name}: holds models for {known}; keep one, or choose with spec.model.runtime"
        )
    return fit[0]


def _hint(path: Path) -> str:
    files = [path] if path.is_file() else sorted(path.iterdir())
    hint = next((_ELSEWHERE[file.suffix] for file in files if file.suffix in _ELSEWHERE), None)
    return f" ({hint})" if hint else ""


def _found(path: Path) -> str:
    if not path.is_dir():
        return ""
    names = sorted(entry.name for entry in path.iterdir())
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return f"; found {shown}" if names else "; the folder is empty"
