"""``modelserve serve`` as people start it: a real process, asked, and stopped with Ctrl-C."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
NER, DIGITS = ROOT / "models" / "bert-ner-1", ROOT / "models" / "resnet-digits-1"
PAGE = (ROOT / "docs" / "how-to" / "many-models.md").read_text()
Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "modelserve", "serve", *arguments, "--port", "0"]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], last: str) -> str:
    """What it prints, up to a line that begins like this."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(last):
            return "".join(lines)
    raise AssertionError(f"ended: {''.join(lines)}")


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(30)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder of the page."""
    folder = tmp_path / "models"
    (folder / "digits").mkdir(parents=True)
    (folder / "bert-ner-1").symlink_to(NER)
    for version in "12":
        (folder / "digits" / version).symlink_to(DIGITS)
    shutil.copy(DIGITS / "model.onnx", folder / "scorer.onnx")
    return folder


@pytest.mark.parametrize("package", [NER, DIGITS, DIGITS / "model.onnx"], ids=["text", "image", "file"])
def test_one_package_is_served_and_the_command_it_prints_asks_it(
    serve: Serve, tmp_path: Path, package: Path
) -> None:
    process = serve(str(package), "--name", "mine")
    printed = said(process, "Ctrl-C")
    assert re.match(r"Serving at http://127\.0\.0\.1:\d+: mine\. Try:\n", printed)
    (command,) = re.findall(r"  (curl .*)\n", printed)
    if "@image.png" in command:
        row = json.loads((DIGITS / "reference.jsonl").read_text().splitlines()[0])
        (tmp_path / "image.png").write_bytes(base64.b64decode(row["image"]))
    done = subprocess.run(
        [*shlex.split(command), "-sS"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "error" not in json.loads(done.stdout), done.stdout
    assert '"mine"' in done.stdout
    assert stopped(process) == 0


def test_a_folder_is_served_with_grpc_beside_it(serve: Serve, models: Path) -> None:
    process = serve(str(models), "--json", "--grpc-port", "0", "--memory-budget", "1Gi", "--threads", "1")
    told = json.loads(said(process, "{"))
    assert told["models"] == ["bert-ner-1", "digits", "scorer"]
    assert re.fullmatch(r"127\.0\.0\.1:\d+", told["grpc"])
    metadata = httpx.get(f"{told['url']}/v2/models/scorer", timeout=60).json()
    assert metadata["name"] == "scorer"
    index = httpx.post(f"{told['url']}/v2/repository/index", json={"ready": True}).json()
    assert [model["name"] for model in index] == ["scorer"]
    assert stopped(process) == 0


def test_the_page_shows_what_happens(serve: Serve, models: Path) -> None:
    (line,) = re.findall(r"\$ modelserve serve (.*)\n", PAGE)
    printed = said(serve(*shlex.split(line)), "Ctrl-C")
    (address,) = re.findall(r"Serving at http://(\S+): ", printed)
    assert printed.replace(address, "127.0.0.1:8000") in PAGE
    blocks = re.findall(r"```bash\n(.*?)```\n\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    for command, shown in blocks:
        asked = command.replace("127.0.0.1:8000", address)
        done = subprocess.run(["bash", "-ec", asked], capture_output=True, text=True, timeout=60)
        found: Any = json.loads(done.stdout)
        assert found == json.loads(shown) or all(each in found for each in json.loads(shown)), command


BROKEN = {
    "an unknown key": (b"batchin: none\n", "batchin: unknown key; did you mean 'batching'?"),
    "no YAML": (b"batching: [\n", "not YAML at line 2"),
    "no text": (b"task: \xff\n", "byte 6 is not UTF-8"),
    "no mapping": (b"- task\n", "keys with values are wanted"),
}


@pytest.mark.parametrize(("content", "told"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("place", ["broken", "broken/3"])
def test_one_broken_model_does_not_stop_the_others(
    serve: Serve, models: Path, place: str, content: bytes, told: str
) -> None:
    (models / place).mkdir(parents=True)
    shutil.copy(DIGITS / "model.onnx", models / place / "model.onnx")
    (models / place / "modelserve.yaml").write_bytes(content)
    (models / "bert-ner-1").rename(models / "whole")  # so that the broken one is the first
    printed = said(serve(str(models)), "Ctrl-C")
    (url,) = re.findall(r"Serving at (http://\S+): broken, digits, scorer, whole\. Try:", printed)
    assert f"curl {url}/predict/digits " in printed
    assert httpx.get(f"{url}/v2/models/scorer", timeout=60).status_code == 200
    answer = httpx.get(f"{url}/v2/models/broken", timeout=60)
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("broken: can't be loaded: modelserve.yaml: ")
    assert told in answer.json()["error"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing"], "missing: there is no such file or folder"),
        (["models/digits"], "holds the versions of one model; give the folder above it"),
        (["empty"], "neither a model package nor a folder with any"),
        (["models", "--name", "x"], "--name: is for one package"),
        (["models", "--memory-budget", "2GB"], "--memory-budget: got '2GB'; write a size"),
        (["models/scorer.onnx", "--memory-budget", "2Gi"], "--memory-budget: is for a folder"),
        (["models", "--host", "192.0.2.1"], "can't listen: 192.0.2.1:0"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_mistake_is_told(tmp_path: Path, models: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "modelserve", "serve", *arguments, "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
