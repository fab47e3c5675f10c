"""From ``python: {class: "model:Model"}`` to an object that has loaded its model."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelserve.domain.models import ModelPackage, PythonCode
from modelserve.errors import InvalidPackage, ModelServeError
from modelserve.runtimes.python.model import PythonModel


class PythonRuntime:
    """Runs the package's code: in a process of its own, if the operator allows it at all."""

    def load(self, package: ModelPackage) -> PythonModel:
        """Import the class, make one and have it load. Raises InvalidPackage in the code's own words."""
        code = package.code or PythonCode()
        _require(code.requirements)
        written = _import(package.path, code.entry)
        _check(written, code.entry)
        try:
            instance = written()
            instance.load(package.path)
        except ModelServeError:
            raise
        except Exception as error:
            raise InvalidPackage(f"{code.entry}: load failed: {_told(error)}") from error
        return PythonModel(instance, package.signature)


def _require(requirements: Sequence[str]) -> None:
    """Raise InvalidPackage that names every distribution which is not installed here."""
    missing = [each for each in requirements if not _installed(each)]
    if missing:
        raise InvalidPackage(
            f"python.requirements: {', '.join(missing)} not installed where the model server runs; "
            f"install there: pip install {' '.join(repr(each) for each in missing)}"
        )


def _installed(requirement: str) -> bool:
    name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _import(folder: Path, entry: str) -> Any:
    """The class called ``module:Class``, with the package's folder first on the path, as for a script."""
    module, _, name = entry.partition(":")
    sys.path.insert(0, str(folder))
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise InvalidPackage(f"{entry}: importing {module} failed: {_told(error)}") from error
    if not hasattr(found, name):
        classes = [key for key, value in vars(found).items() if inspect.isclass(value)]
        has = f"it has {', '.join(classes)}" if classes else "it has no class"
        raise InvalidPackage(f"{entry}: {module} has no {name}; {has}")
    return getattr(found, name)


def _check(written: Any, entry: str) -> None:
    if not inspect.isclass(written):
        raise InvalidPackage(f"{entry}: is a {type(written).__name__}; a class is wanted")
    answers = [name for name in ("predict", "stream") if callable(getattr(written, name, None))]
    if not callable(getattr(written, "load", None)) or not answers:
        raise InvalidPackage(
            f"{entry}: needs the methods load(self, folder) and predict(self, inputs), "
            f"or stream(self, inputs) for an answer in pieces"
        )
    for name in ("load", *answers):
        method = getattr(written, name)
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            raise InvalidPackage(f"{entry}: {name} is async; write it with plain def: it has its own process")


def _told(error: BaseException) -> str:
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
