"""Layout: a folder with a class of its own that answers. Reading it runs nothing of it.

``model.py`` and ``modelserve.yaml`` with the signature; ``python: {class: "module:Class"}`` there names
another class.
"""

from __future__ import annotations

from pathlib import Path

from modelserve.domain.inference import Signature
from modelserve.domain.models import ModelPackage, PackageLimits, PythonCode, Runtime, Task
from modelserve.errors import InvalidPackage
from modelserve.packages.content import digest
from modelserve.packages.declaration import (
    FILE_NAME,
    Declaration,
    read_declaration,
    reference_of,
)
from modelserve.packages.reading import inside
from modelserve.packages.signatures import specs

CODE = "model.py"
_MODELS = (".onnx", ".pt2", ".pt", ".ts", ".torchscript", ".skops", ".ubj")


class PythonFolder:
    """A folder whose modelserve.yaml has a section ``python``, or with model.py and no other model."""

    name = "python"
    runtimes = frozenset({Runtime.PYTHON})

    def matches(self, path: Path) -> bool:
        if not path.is_dir():
            return False
        if (path / CODE).is_file() and not any(map(_is_another_model, path.iterdir())):
            return True
        return (path / FILE_NAME).is_file() and read_declaration(path).python is not None

    def read(self, path: Path, task: Task | None = None, runtime: Runtime | None = None) -> ModelPackage:
        """The package. Raises InvalidPackage for a class whose file is not there, and without a signature."""
        declaration = read_declaration(path)
        wanted = task or declaration.task or Task.TENSOR
        if wanted is not Task.TENSOR:
            raise InvalidPackage(
                f"{path.name}: task {wanted.value}: code of a package takes tensors and gives tensors; "
                f"leave the task out"
            )
        code = _code(declaration)
        return ModelPackage(
            path=path,
            digest=digest(path),
            layout=self.name,
            task=Task.TENSOR,
            model_file=_module(path, code.entry),
            signature=_signature(declaration),
            limits=PackageLimits(),
            reference=reference_of(path, declaration),
            description=declaration.description,
            deterministic=declaration.deterministic is True,
            batching=declaration.batching,
            warm_up=declaration.warm_up is None,
            runtime=Runtime.PYTHON,
            code=code,
        )


def _is_another_model(entry: Path) -> bool:
    return entry.name in ("config.json", "MLmodel") or entry.suffix in _MODELS


def _code(declaration: Declaration) -> PythonCode:
    told = declaration.python
    return PythonCode(told.entry, told.requirements) if told is not None else PythonCode()


def _module(folder: Path, entry: str) -> Path:
    """The file of the class's module."""
    place = entry.partition(":")[0].replace(".", "/")
    for name in (f"{place}.py", f"{place}/__init__.py"):
        if (found := inside(folder, name)) is not None:
            return found
    raise InvalidPackage(
        f"{FILE_NAME}: python.class: {entry!r}: there is no {place}.py in the package; "
        f"write it, or name another class"
    )


def _signature(declaration: Declaration) -> Signature:
    told = declaration.signature
    for name, tensors in (("inputs", told.inputs), ("outputs", told.outputs)):
        if not tensors:
            raise InvalidPackage(
                f"{FILE_NAME}: signature.{name}: is missing: code does not tell what it takes and gives; "
                f"write such as `{name}: [{{name: x, datatype: FP32, shape: [-1, 4]}}]`"
            )
    return Signature(specs(told, "inputs"), specs(told, "outputs"))
