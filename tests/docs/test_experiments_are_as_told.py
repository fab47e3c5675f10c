"""The page on experiments: its files are good specs, its examples run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import yaml

from modelserve.manifest import parse_experiment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "experiments.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_its_example_runs_on_a_platform(platform, models, tmp_path):
    platform.apply("bert-ner", models / "bert-ner-1")
    platform.wait_for_phase("bert-ner", "stable")
    file = tmp_path / "tone.yaml"
    file.write_text(blocks("yaml")[0].replace("./models", str(models)))
    platform.cli("apply", "-f", str(file))
    platform.wait_for("tone runs", lambda: platform.cli("experiment", "list")[0]["phase"] == "running")
    platform.wait_for("it is in force", lambda: platform.cli("status")["in_force"])
    with httpx.Client(base_url=platform.door, timeout=30) as client:
        exec(blocks("python")[0], {"client": client})
    outcomes = (
        '{"key": "ada", "metric": "accepted", "value": 1}\n{"key": "ada", "metric": "no", "value": 1}\n'
    )
    refused = platform.start_cli("experiment", "record", "tone", "-", given=outcomes)
    out, _ = refused.communicate(outcomes, timeout=60)
    assert refused.returncode == 1
    assert "item 1: malformed: metric: got 'no': tone has accepted" in out
    assert "1 duplicate, 1 malformed" in out
    for command in ("status", "results"):
        shown = platform.start_cli("experiment", command, "tone").communicate(timeout=60)[0]
        assert "tone on bert-ner: running" in shown
        assert "undecided at 95 % confidence, whenever you look" in shown
    drawn = platform.start_cli("experiment", "plot", "tone").communicate(timeout=60)[0]
    assert "accepted: challenger minus control, points" in drawn
    assert "accepted ends with: undecided" in drawn
    picture = platform.home / "tone.png"
    course = platform.cli("experiment", "plot", "tone", "--out", str(picture))
    assert course["metrics"][0]["points"][-1]["outcomes"] == 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = platform.start_cli("status").communicate(timeout=60)[0]
    assert "bert-ner takes part in the experiment tone" in shown
    stopped = platform.cli("experiment", "stop", "tone")
    deleted = platform.cli("experiment", "delete", "tone")
    assert deleted["message"] == "tone is deleted with its exposures and outcomes"
    assert platform.cli("experiment", "list") == []
    assert stopped["message"] == "tone is over; bert-ner-00001 answers all requests of bert-ner again"


def test_every_spec_is_a_good_one():
    spec, bandit = map(yaml.safe_load, blocks("yaml"))
    assert parse_experiment(blocks("yaml")[0], "tone.yaml").spec.metrics[0].tolerance == 0.02
    spec["spec"] |= bandit
    assert parse_experiment(yaml.safe_dump(spec), "tone.yaml").spec.bandit.every == 3600


def test_the_plan_is_as_shown():
    (shown,) = (block for block in blocks("console") if "plan" in block)
    command, _, table = shown.partition("\n")
    done = subprocess.run(
        [sys.executable, "-m", "modelserve", *command.removeprefix("$ modelserve ").split()],
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [line.split() for line in done.stdout.splitlines()] == [
        line.split() for line in table.splitlines()
    ]
