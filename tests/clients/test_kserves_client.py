"""KServe's Python client, unchanged.

It can't share an environment with us (it asks for an older psutil), so it has one of its own in the
repository's ``.venv-clients``, made once from ``kserve.lock``, which ``make lock`` renews.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parents[1] / ".venv-clients" / "kserve"
LOCK = HERE / "kserve.lock"


@pytest.fixture(scope="module")
def kserve_python() -> Path:
    """The interpreter of the environment, which is made anew where the lock has changed."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True, timeout=120)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", LOCK], check=True, timeout=900)
        stamp.write_text(wanted)
    return python


@pytest.fixture(scope="module")
def serving(new_platform: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = new_platform(tmp_path_factory.mktemp("kserve") / "home")
    running.up()
    service = {
        "apiVersion": "modelserve.ai/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": "resnet-digits"},
        "spec": {"model": {"uri": str(models / "resnet-digits-1"), "task": "tensor"}},
    }
    running.cli("apply", "-f", "-", given=json.dumps(service))
    running.wait_for_ready("resnet-digits", "resnet-digits-00001")
    yield running
    running.cli("down")


@pytest.fixture
def calls(kserve_python: Path) -> Any:
    def run(*arguments: str) -> str:
        command = [str(kserve_python), str(HERE / "kserve_calls.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.timeout(1200)
def test_speaks_to_a_model_server(serving: Any, calls: Any) -> None:
    replica = serving.service("resnet-digits")["replicas"][0]
    assert "agreed" in calls(f"http://{replica['address']}", replica["grpc_address"])


@pytest.mark.timeout(1200)
def test_speaks_to_the_front_door(serving: Any, calls: Any) -> None:
    place = f"127.0.0.1:{serving.port}"
    assert "agreed" in calls(f"http://{place}", place, "x-modelserve-service=resnet-digits")
