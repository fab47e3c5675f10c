"""Layout: a folder that only refers to a model of another server; the platform writes it on ``apply``.

``external.json`` holds what that server said of the model when the revision was made::

    {"url": "http://triton:8000/v2/models/ranker", "binary": true, "inputs": [...], "outputs": [...]}
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelserve.domain.inference import Signature, TensorSpec
from modelserve.domain.models import External, ModelPackage, Runtime, Task
from modelserve.errors import InvalidPackage
from modelserve.packages.content import digest
from modelserve.packages.declaration import DeclaredTensor
from modelserve.packages.reading import read_object

FILE_NAME = "external.json"


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https?://[^/?#@\s]+/(\S+/)?v2/models/[^/?#\s]+(/versions/[^/?#\s]+)?$")
    binary: bool = False
    inputs: tuple[DeclaredTensor, ...] = Field(min_length=1)
    outputs: tuple[DeclaredTensor, ...] = Field(min_length=1)


class Reference:
    """A folder with external.json."""

    name = "external"
    runtimes = frozenset({Runtime.EXTERNAL})

    def matches(self, path: Path) -> bool:
        return path.is_dir() and (path / FILE_NAME).is_file()

    def read(self, path: Path, task: Task | None = None, runtime: Runtime | None = None) -> ModelPackage:
        """The package; nobody is asked anything. Raises InvalidPackage."""
        if task not in (None, Task.TENSOR):
            raise InvalidPackage(f"task {task}: a model of another server takes tensors; leave the task out")
        content = _content(read_object(path / FILE_NAME))
        return ModelPackage(
            path=path,
            digest=digest(path),
            layout=self.name,
            task=Task.TENSOR,
            model_file=path / FILE_NAME,
            signature=Signature(_specs("inputs", content.inputs), _specs("outputs", content.outputs)),
            deterministic=False,  # the model behind may change without a word
            runtime=Runtime.EXTERNAL,
            external=External(content.url, content.binary),
        )


@contextmanager
def reference(content: bytes) -> Iterator[Path]:
    """A package whose external.json this is; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="modelserve-") as folder:
        (Path(folder) / FILE_NAME).write_bytes(content)
        yield Path(folder)


def _content(value: dict[str, Any]) -> _Content:
    try:
        return _Content.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidPackage(f"{FILE_NAME}: {place}: {first['msg']}") from error


def _specs(side: str, told: tuple[DeclaredTensor, ...]) -> tuple[TensorSpec, ...]:
    """The protocol has no names for axes: whether the other server's first axis counts rows is not known."""
    names = [tensor.name for tensor in told]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidPackage(f"{FILE_NAME}: {side}: has {twice!r} twice; keep one")
    return tuple(replace(tensor.spec(), first_axis=None) for tensor in told)
