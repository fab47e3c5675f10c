"""``modelserve bench`` as a process, against model server processes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "load-testing.md"
BRIEF = ("--duration", "300ms", "--warm-up", "50ms", "--clients", "2")


def bench(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """What it printed and complained about."""
    command = [sys.executable, "-m", "modelserve", "bench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout, done.stderr


def results(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bench(*arguments, *BRIEF, "--json", code=code)[0])
    return found


@pytest.mark.parametrize("protocol", [None, "oip", "v1", "binary"])
def test_tensors_are_made_up_from_the_models_metadata(double: str, protocol: str | None) -> None:
    chosen = ["--protocol", protocol] if protocol else []
    found = results("m", "--door", double, *chosen)
    assert (found["by_outcome"], found["errors"]) == ({"200": found["requests"]}, 0)
    assert found["by_revision"]["m-00001"]["requests"] == found["requests"] > 0
    assert found["target"].startswith(double)


def test_a_text_is_asked_at_the_task_route(ner: str) -> None:
    found = results("bert-ner", "--door", ner, "--text", "She lives in London", "--rate", "20")
    assert (found["loop"], found["errors"]) == ("open", 0)
    assert found["target"] == f"{ner}/predict/bert-ner"


def test_samples_of_a_package_can_be_sent(digits: str, models: Path) -> None:
    rows = models / "resnet-digits-2" / "reference.jsonl"
    for url in (f"{digits}/predict/digits", f"{digits}/v1/models/digits:predict"):
        assert results(url, "--samples", rows)["errors"] == 0


def test_an_infer_request_can_be_sent(double: str, tmp_path: Path) -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"inputs": [tensor]}))
    assert results(f"{double}/v2/models/m/infer", "--json-file", file)["errors"] == 0


def test_broken_limits_end_with_code_6_and_say_which(double: str) -> None:
    out, complaints = bench(
        "m", "--door", double, *BRIEF, "--max-p99", "0.001ms", "--max-error-rate", "0%", code=6
    )
    assert "requests/s" in out
    assert "p99 latency" in complaints
    assert "error rate" not in complaints
    bench("m", "--door", double, *BRIEF, "--max-p99", "1h", "--max-error-rate", "0%")


def test_refused_requests_are_errors_with_their_code(double: str) -> None:
    found = results(f"{double}/predict/nobody", "--text", "x", "--max-error-rate", "1%", code=6)
    assert (found["by_outcome"], found["error_rate"]) == ({"404 unknown_model": found["requests"]}, 1)


def test_people_get_tables_and_a_distribution_and_a_comparison(double: str, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    bench("m", "--door", double, *BRIEF, "--output", before)
    told = json.loads(before.read_text())
    assert told["requests"] == sum(count for _, count in told["histogram_ms"])
    out, _ = bench("m", "--door", double, *BRIEF, "--rate", "200", "--compare", before)
    for part in ("latency, from due", "from sent", "m-00001", "before", "change", "p99.9", "█", "100.00%"):
        assert part in out


def test_a_picture_is_drawn(double: str, tmp_path: Path) -> None:
    picture = tmp_path / "out.png"
    bench("m", "--door", double, *BRIEF, "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("m", "--door", "http://127.0.0.1:9"), "127.0.0.1:9"),
        (("http://127.0.0.1:9/predict/m", "--text", "x"), "127.0.0.1:9"),
        (("http://127.0.0.1:9/", "--text", "x"), "the path /"),
        (("m", "--text", "x", "--image", "y"), "at most one"),
        (("http://127.0.0.1:9/predict/m", "--text", "x", "--door", "http://h"), "--door"),
        (("http://127.0.0.1:9/predict/m", "--image", "/nowhere"), "--image"),
        (("http://127.0.0.1:9/predict/m", "--text", "x", "--duration", "10"), "--duration"),
        (("http://127.0.0.1:9/predict/m", "--text", "x", "--max-p99", "fast"), "--max-p99"),
        (("http://127.0.0.1:9/predict/m", "--text", "x", "--compare", "/nowhere"), "--compare"),
        (("http://127.0.0.1:9/predict/m", "--text", "x", "--processes", "99"), "processes"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: tuple[str, ...], told: str) -> None:
    _, complaint = bench(*arguments, code=1)
    assert complaint.startswith("error: ")
    assert told in complaint
    assert "Traceback" not in complaint


def test_the_how_to_tells_the_truth(ner: str, tmp_path: Path, models: Path, monkeypatch: Any) -> None:
    """Every command on the page runs, on a shorter time."""
    (tmp_path / "models").symlink_to(models)
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ modelserve bench ((?:.*\\\n)*.*)", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        arguments = shlex.split(command.replace("\\\n", " ").replace("http://127.0.0.1:8080", ner))
        door = [] if "://" in arguments[0] else ["--door", ner]
        loop = ("--rate", "20") if "--rate" in arguments else ()
        quick = ("--duration", "300ms", "--max-p99", "1h", "--max-error-rate", "100%")
        bench(*arguments, *door, *quick, *loop)
