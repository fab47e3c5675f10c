"""What a platform, and our programs beside it, tell of their users: nothing is sent, and no input is kept."""

from __future__ import annotations

import io
import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, PngImagePlugin

from tests.control.onlookers import ROOT, User, connections, proxy

PAGE = (ROOT / "docs/how-to/rehearse-a-rollout.md").read_text()
NUMBER, WORD = 987654321, "Quellwitzia"
"""By these the inputs are known again: no token has this id, and nobody this name."""
OUT_OF_BOUNDS = {
    "inputs": [
        {"name": "input_ids", "datatype": "INT64", "shape": [1, 4], "data": [NUMBER, 1, 1, 1]},
        {"name": "attention_mask", "datatype": "INT64", "shape": [1, 4], "data": [1, 1, 1, 1]},
    ]
}
"""What the first layer of bert-ner refuses, with an error that repeats the number."""
OWNERS = {
    "weather/model.py": """\
import onnxruntime  # as an owner's code may


class Model:
    def load(self, folder):
        onnxruntime.get_available_providers()

    def predict(self, inputs):
        return {"y": inputs["x"]}
""",
    "weather/modelserve.yaml": """\
signature:
  inputs: [{name: x, datatype: FP32, shape: [-1]}]
  outputs: [{name: y, datatype: FP32, shape: [-1]}]
""",
    "ours.py": """\
import onnxruntime


def differ(stable, candidate):
    return 0.0
""",
    "gate.yaml": next(iter(re.findall(r"```yaml\n(.*?)```", PAGE, re.S))),
}


pytestmark = pytest.mark.timeout(400)  # a platform, and each program, one after the other


@dataclass
class Seen:
    """Of a platform and other programs, after all of them have ended."""

    answers: dict[str, tuple[int, str]]
    """Status and body by what was asked."""
    heard: list[bytes]
    strangers: set[str]
    left: list[Path]
    home: Path


@pytest.fixture(scope="module")
def seen(new_platform: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("machine")
    with proxy() as way_out, connections(folder) as strangers:
        user = User(folder, way_out.url)
        write(user.given)
        user.environment["MODELSERVE_ALLOW_CODE"] = "true"
        platform = new_platform(user.home, user.environment)
        user.environment["MODELSERVE_PORT"] = str(platform.port)
        try:
            answers = use(platform, user, models)
        finally:
            platform.cli("down")
        use_without_a_platform(user, models)
    return Seen(answers, way_out.heard, strangers, user.left(), user.home)


def write(given: Path) -> None:
    for name, text in OWNERS.items():
        (given / name).parent.mkdir(exist_ok=True)
        (given / name).write_text(text)
    line = {"path": "/predict/bert-ner", "body": {"text": f"{WORD} met Ada Lovelace"}}
    (given / "requests.jsonl").write_text((json.dumps(line) + "\n") * 40)


def use(platform: Any, user: User, models: Path) -> dict[str, tuple[int, str]]:
    """What ``make up`` starts, and servers of other kinds; ask all, and bring a new version of one."""
    user.run("examples.up")
    ner = models / "bert-ner-1"
    platform.apply("isolated", ner, server={"isolation": {"mode": "process"}})
    platform.apply("workers", ner, server={"httpWorkers": 2})
    platform.apply("weather", user.given / "weather")
    for name in ("isolated", "workers", "weather"):
        platform.wait_for_ready(name, f"{name}-00001")
    shadow = {"share": "100%", "minPairs": 1000, "compare": {"python": "ours:differ"}}
    platform.apply("resnet-digits", models / "resnet-digits-2", rollout={"shadow": shadow})
    platform.wait_for_phase("resnet-digits", "shadow")
    answers: dict[str, tuple[int, str]] = {}

    def compared() -> Any:
        answers.update(ask(platform.door))
        return platform.rollout("resnet-digits")["totals"].get("pairs")

    platform.wait_for("a comparison of both versions", compared)
    user.run("modelserve", "bench", "weather", "--duration", "1s", "--plot", "bench.png")
    return answers


def ask(door: str) -> dict[str, tuple[int, str]]:
    tensor = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5]}]}
    image: Any = {"content": picture(), "headers": {"content-type": "image/png"}}
    with httpx.Client(base_url=door, trust_env=False, timeout=30) as client:
        answers = {
            "text": client.post("/predict/bert-ner", json={"text": f"{WORD} met Ada Lovelace"}),
            "image": client.post("/predict/resnet-digits", **image),
            "code": client.post("/v2/models/weather/infer", json=tensor),
            "engine": client.post("/v2/models/bert-ner/infer", json=OUT_OF_BOUNDS),
            "isolated engine": client.post("/v2/models/isolated/infer", json=OUT_OF_BOUNDS),
            "engine behind workers": client.post("/v2/models/workers/infer", json=OUT_OF_BOUNDS),
            "no such tensor": client.post("/v2/models/bert-ner/infer", json={"inputs": [{"name": WORD}]}),
        }
    return {name: (answer.status_code, answer.text) for name, answer in answers.items()}


def picture() -> bytes:
    content, about = io.BytesIO(), PngImagePlugin.PngInfo()
    about.add_text("Title", WORD)
    Image.new("L", (32, 32), 255).save(content, "PNG", pnginfo=about)
    return content.getvalue()


def use_without_a_platform(user: User, models: Path) -> None:
    stable, candidate = str(models / "bert-ner-1"), str(models / "bert-ner-2")
    serve_and_ask(user, stable)
    told = ("requests.jsonl", "--stable", stable, "--candidate", candidate, "-f", "gate.yaml")
    user.run("modelserve", "rollout", "replay", *told, codes=(0, 1, 3))
    user.run("modelserve", "rollout", "simulate", "--runs", "2", "--plot", "simulated.png")


def serve_and_ask(user: User, package: str) -> None:
    process = user.start("modelserve", "serve", package, "--port", "0", "--json")
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    answer = httpx.post(f"{url}/v2/models/bert-ner-1/infer", json=OUT_OF_BOUNDS, trust_env=False)
    assert str(NUMBER) in answer.text
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert str(NUMBER) not in said


def test_everything_was_asked_and_engines_failed_over_the_input(seen: Seen) -> None:
    statuses = {name: status for name, (status, _) in seen.answers.items()}
    engines = [name for name in statuses if "engine" in name]
    assert {name for name, status in statuses.items() if status == 200} == {"text", "image", "code"}
    for name in engines:
        assert str(NUMBER) in seen.answers[name][1]


def test_no_file_is_made_outside_of_its_home(seen: Seen) -> None:
    assert seen.left == []


def test_nothing_is_sent(seen: Seen) -> None:
    assert (seen.heard, seen.strangers) == ([], set())


def test_no_input_is_in_any_file(seen: Seen) -> None:
    marks = [WORD.encode(), str(NUMBER).encode(), NUMBER.to_bytes(8, "little")]
    files = [path for path in seen.home.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files for mark in marks if mark in path.read_bytes()] == []
