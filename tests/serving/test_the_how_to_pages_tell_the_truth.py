"""docs/how-to pages on the protocols: every example runs, and prints what the page says."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("task-routes", "open-inference-protocol", "kserve-v1")
DOOR = "127.0.0.1:8080"


@pytest.fixture(scope="module")
def servers(start_shared: Any, onnx_models: dict[str, Path]) -> dict[str, str]:
    """Addresses by model. The pages ask one front door; here each model answers for itself."""
    packages = {
        "bert-ner": ROOT / "models" / "bert-ner-1",
        "resnet-digits": ROOT / "models" / "resnet-digits-1",
        "double": onnx_models["double"],
    }
    started = {
        name: start_shared(package, service=name, revision=f"{name}-00001", threads=2, max_batch=8)
        for name, package in packages.items()
    }
    return {name: server.ready().removeprefix("http://") for name, server in started.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples run: a clone as far as they can tell."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "models").symlink_to(ROOT / "models")
    row = (ROOT / "models" / "resnet-digits-1" / "reference.jsonl").read_text().splitlines()[0]
    (folder / "digit.png").write_bytes(base64.b64decode(json.loads(row)["image"]))
    return folder


def examples(page: str) -> Iterator[tuple[str, str, str]]:
    """Language, code and, where the page shows it, the JSON that it prints."""
    blocks = re.findall(
        r"```(\w+)\n(.*?)```", (ROOT / "docs" / "how-to" / f"{page}.md").read_text(), re.DOTALL
    )
    for (language, code), (after, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language != "json":
            yield language, code, shown if after == "json" else ""


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of(page: str, servers: dict[str, str], folder: Path) -> None:
    for language, code, shown in examples(page):
        (name,) = {name for name in servers if name in code} or {"bert-ner"}
        command = ["bash", "-eo", "pipefail", "-c"] if language == "bash" else [sys.executable, "-c"]
        asked = code.replace(DOOR, servers[name])
        done = subprocess.run([*command, asked], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        if shown:
            assert json.loads(done.stdout) == json.loads(shown), code
