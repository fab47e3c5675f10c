"""What the layouts of one model file share: find the one file, read its declaration, join the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelserve.domain.inference import Signature
from modelserve.domain.models import ModelPackage, Runtime, Task
from modelserve.errors import InvalidPackage
from modelserve.packages.content import digest
from modelserve.packages.declaration import Declaration, read_declaration, reference_of
from modelserve.packages.reading import mistaken

ReadSignature = Callable[[Path, Declaration, bool], Signature]
"""From the file, its declaration and whether the file is the whole package. Raises InvalidPackage."""


def _anything(path: Path) -> bool:
    return True


@dataclass(frozen=True)
class SingleFile:
    """A file with one of ``suffixes``, or a folder with exactly one such file, for one engine.

    ``looks_right`` tells model files of a folder from others of the same suffix, by their first bytes.
    """

    runtime: Runtime
    suffixes: tuple[str, ...]
    read_signature: ReadSignature
    looks_right: Callable[[Path], bool] = _anything
    pickles: tuple[str, ...] = ()
    """Those of the suffixes whose files run code when they are loaded; they are not opened here."""

    @property
    def name(self) -> str:
        return self.runtime.value

    @property
    def runtimes(self) -> frozenset[Runtime]:
        return frozenset({self.runtime})

    def matches(self, path: Path) -> bool:
        return bool(self._models(path)) if path.is_dir() else path.suffix in self.suffixes

    def read(self, path: Path, task: Task | None = None, runtime: Runtime | None = None) -> ModelPackage:
        """The package; ``path`` is the file itself where there is no folder. Raises InvalidPackage."""
        model_file = self._only_model(path)
        declaration = read_declaration(path) if path.is_dir() else Declaration()
        check_tensors_only(path, task or declaration.task)
        return self.package(path, model_file, declaration, layout=self.name)

    def package(self, path: Path, model_file: Path, declaration: Declaration, layout: str) -> ModelPackage:
        """The package at ``path`` around this file, as ``layout`` found it. Raises InvalidPackage."""
        reference = reference_of(path, declaration)
        check_head(model_file)
        return ModelPackage(
            path=path,
            digest=digest(path),
            layout=layout,
            task=Task.TENSOR,
            model_file=model_file,
            signature=self.read_signature(model_file, declaration, model_file == path),
            reference=reference,
            description=declaration.description,
            deterministic=declaration.deterministic is not False,
            batching=declaration.batching,
            warm_up=declaration.warm_up is None,
            runtime=self.runtime,
            pickled=model_file.suffix in self.pickles,
        )

    def _models(self, folder: Path) -> list[Path]:
        return sorted(
            entry
            for entry in folder.iterdir()
            if entry.suffix in self.suffixes and entry.is_file() and self.looks_right(entry)
        )

    def _only_model(self, path: Path) -> Path:
        if not path.is_dir():
            return path
        models = self._models(path)
        if len(models) > 1:
            names = ", ".join(model.name for model in models)
            kinds = " or ".join(self.suffixes)
            raise InvalidPackage(
                f"{path.name}: holds {names}; keep one {kinds} file, or give the file itself"
            )
        return models[0]


def check_tensors_only(path: Path, task: Task | None) -> None:
    """Raise InvalidPackage if a task is asked for that needs labels and preprocessing."""
    if task not in (None, Task.TENSOR):
        raise InvalidPackage(
            f"{path.name}: task {task} needs labels and preprocessing beside the model: give a "
            f"Hugging Face folder with config.json, or use task {Task.TENSOR.value}"
        )


def check_head(path: Path) -> None:
    """Raise InvalidPackage for an empty file and for what a failed download leaves."""
    head = head_of(path)
    if not head:
        raise InvalidPackage(f"{path.name}: is empty; export or download it again")
    if what := mistaken(head):
        raise InvalidPackage(f"{path.name}: {what}")


def head_of(path: Path) -> bytes:
    """The first 256 bytes."""
    with path.open("rb") as file:
        return file.read(256)
