"""``modelserve rollout replay`` with the bundled models and with recorded looks, as CI would call it."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelserve.domain.rollouts import ArmCounts, Decision, Observation
from modelserve.rollout.looks import Look, encode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/rehearse-a-rollout.md").read_text()
GATE = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S))


@pytest.fixture
def gate(tmp_path):
    file = tmp_path / "gate.yaml"
    file.write_text(GATE)
    return str(file)


@pytest.fixture
def requests(tmp_path):
    """What the page's jq makes of the model's own sentences, not all of them."""
    rows = (ROOT / "models/bert-ner-1/reference.jsonl").read_text().splitlines()[:240]
    lines = [{"path": "/predict/bert-ner", "body": {"text": json.loads(row)["text"]}} for row in rows]
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


def replay(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "modelserve", "rollout", "replay", *arguments],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1", "MODELSERVE_HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=110,
    )


def models(candidate):
    return ["--stable", "models/bert-ner-1", "--candidate", candidate]


def test_a_better_model_passes(requests, gate):
    done = replay(requests, *models("models/bert-ner-2"), "-f", gate, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["end"] == "promoted"
    assert [moment["stage"] for moment in told["moments"]][:1] == ["shadow"]
    assert told["moments"][-1]["stage"] == "canary"


def test_a_worse_model_that_never_fails_is_stopped_by_its_answers(requests, gate):
    done = replay(requests, *models("models/bert-ner-3-worse"), "-f", gate)
    assert done.returncode == 1
    assert done.stdout.startswith("rolled back")
    assert "shadow pairs differed" in done.stdout


def test_a_package_that_can_not_run_is_rolled_back_and_the_reason_told(requests, gate, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    done = replay(requests, *models(str(tmp_path / "model.onnx")), "-f", gate)
    assert done.returncode == 1
    assert "did not start" in done.stdout


def test_too_few_requests_are_undecided(requests, gate):
    few = Path(requests)
    few.write_text("".join(few.read_text().splitlines(keepends=True)[:20]))
    done = replay(str(few), *models("models/bert-ner-1"), "-f", gate)
    assert done.returncode == 3
    assert "80 more pairs to compare" in done.stdout


def stage(weight, next_weight, elapsed):
    return {"kind": "canary", "weight": weight, "next_weight": next_weight, "elapsed_in_stage": elapsed}


def look(at, failures, final=False):
    seen = Observation(1.0, 0.5, ArmCounts(500, 1), ArmCounts(500, failures))
    return Look(1e9 + at, stage(0.5, 1.0 if final else 0.9, at), seen, decision=Decision.CONTINUE)


@pytest.fixture
def looks(tmp_path):
    def write(*made):
        file = tmp_path / "looks.jsonl"
        file.write_text("".join(encode(each) + "\n" for each in made))
        return str(file)

    return write


def test_recorded_looks_are_judged_under_other_rules(looks, gate):
    fine = looks(*(look(at, 1, final=True) for at in range(40)))
    assert replay(fine, "-f", gate).returncode == 0
    bad = looks(*(look(at, 60) for at in range(40)))
    done = replay(bad, "-f", gate)
    assert done.returncode == 1
    assert "error rate" in done.stdout
    assert replay(looks(look(0, 1)), "-f", gate).returncode == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"path": "/metrics", "body": ""}', ["line 1", "path", "/metrics", "/predict/NAME"]),
        ('{"path": "/predict/m"}', ["body or body_base64"]),
        ('{"path": "/predict/m", "body": "", "body_base64": ""}', ["body or body_base64"]),
        ('{"path": "/predict/m", "body_base64": "*"}', ["body_base64", "'*'"]),
        ('{"path": "/predict/m", "body": "", "method": "GET"}', ["method", "path, headers"]),
        ('{"path": "/predict/m", "body": "", "headers": {"a b": "c"}}', ["headers.a b"]),
        ('{"path": "/predict/m", "body": "", "headers": {"a": "b\\r\\nc: d"}}', ["headers.a"]),
        ('{"path": "/predict/m", "body": {}}\n[]', ["line 2", "list", "object"]),
        ('{"path": "/predict/m", "body": {}}\n{"path": "/predict/n", "body": {}}', ["m, n", "one model"]),
        ('{"at": 1}', ["line 1"]),
        ('{"at": 1, "stage": {"kind": "no"}, "observation": {"seconds": 1}}', ["stage.kind", "shadow"]),
        ("", ["no looks"]),
        ("nonsense", ["line 1", "JSON"]),
    ],
)
def test_a_recording_that_is_none_is_told_by_its_line(line, words, tmp_path, capsys):
    from modelserve.cli.main import app

    file = tmp_path / "recording.jsonl"
    file.write_text(line)
    packages = ["--stable", str(ROOT / "models/bert-ner-1"), "--candidate", str(ROOT / "models/bert-ner-2")]
    with pytest.raises(SystemExit) as ended:
        app(["rollout", "replay", str(file), *(packages if "path" in line else [])])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []


def test_the_requests_of_the_page_are_good_ones():
    from modelserve.rehearsal.recordings import is_requests, read_requests

    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    assert is_requests(block)
    found = [read_requests(line, "page")[0] for line in block.splitlines()]
    assert [request.model for request in found] == ["bert-ner", "bert-ner", "resnet-digits"]
    assert found[0].headers == {"content-type": "application/json"}
    assert found[2].body == base64.b64decode("iVBORw0KGgo=")
