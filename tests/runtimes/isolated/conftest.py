"""Models in processes of their own, from code that is written on the spot."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import ModelPackage, PythonCode, Runtime, Task
from modelserve.runtimes.isolated import Hosting, IsolatedModel

X = TensorSpec("x", DataType.FP32, (-1, -1))
Y = TensorSpec("y", DataType.FP32, (-1, -1))


def package_of(folder: Path, body: str, inputs: Any = (X,), outputs: Any = (Y,)) -> ModelPackage:
    """A package whose class Model has these methods; ``load`` does nothing unless it is among them."""
    methods = textwrap.indent(textwrap.dedent(body), "    ")
    load = "" if "def load" in body else "    def load(self, folder):\n        self.folder = folder\n"
    text = f"import ctypes, os, sys, time\nimport numpy as np\n\n\nclass Model:\n{load}{methods}\n"
    (folder / "model.py").write_text(text)
    return ModelPackage(
        path=folder,
        digest="0" * 64,
        layout="python",
        task=Task.TENSOR,
        model_file=folder / "model.py",
        signature=Signature(tuple(inputs), tuple(outputs)),
        runtime=Runtime.PYTHON,
        code=PythonCode(),
    )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[..., IsolatedModel]]:
    """``host(methods, **hosting)``: a loaded model; closed after the test."""
    started: list[IsolatedModel] = []

    def start(body: str, *, inputs: Any = (X,), outputs: Any = (Y,), **hosting: Any) -> IsolatedModel:
        package = package_of(tmp_path, body, inputs, outputs)
        started.append(IsolatedModel(Hosting(package, **hosting)))
        return started[-1]

    yield start
    for model in started:
        model.close()


@pytest.fixture
def until() -> Callable[..., None]:
    def wait(condition: Callable[[], Any], description: str, timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain: {description}"
            time.sleep(0.01)

    return wait
