from importlib.metadata import version

import pytest

from benchmarks.serving.venvs import REQUIREMENTS

PINNED = sorted(REQUIREMENTS.glob("*.txt"))


@pytest.mark.parametrize("library", ["onnxruntime", "numpy", "pillow"])
@pytest.mark.parametrize("file", PINNED, ids=lambda file: file.stem)
def test_run_the_same_engine_as_modelserve(file, library: str) -> None:
    pinned = dict(line.split("==") for line in file.read_text().splitlines())
    assert pinned[library] == version(library), f"{file.name} pins another {library} than is installed here"
