"""``modelserve rollout simulate``, as people call it: offline, as a process."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modelserve.cli.main import app
from modelserve.errors import ModelServeError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/rehearse-a-rollout.md").read_text()


def simulate(*arguments, home="/nonexistent"):
    return subprocess.run(
        [sys.executable, "-m", "modelserve", "rollout", "simulate", *arguments],
        cwd=ROOT,
        env=os.environ | {"MODELSERVE_HOME": home, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_chances_costs_and_times_are_told_as_json():
    done = simulate("--regression", "none", "--regression", "errors 20%", "--runs", "4", "--json")
    told = json.loads(done.stdout)
    fine, bad = told["regressions"]
    assert (fine["regression"], bad["regression"]) == ("none", "errors 20%")
    assert bad["rolled_back"]["share"] == 1.0
    assert sum(bad["decided_by"].values()) == 4
    assert fine["promoted"]["share"] == 1.0
    assert fine["seconds_to_half"]["p50"] < fine["seconds_to_promote"]["p50"]
    assert told["rules"]["judge"]["falseRollback"] == "1%"
    assert done.stderr == ""


def test_a_table_a_line_of_time_and_a_picture_are_drawn(tmp_path):
    picture = tmp_path / "out.png"
    done = simulate("--runs", "2", "--regression", "errors 50%", "--plot", str(picture))
    assert "100.0% (34.2%–100.0%)" in done.stdout
    assert re.search(r"errors 50%  rolled back .*█", done.stdout)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--traffic", "100"], ["--traffic", "'100'", "100/s"]),
        (["--traffic", "0/s"], ["--traffic"]),
        (["--baseline", "100%"], ["--baseline", "below"]),
        (["--baseline", "1"], ["--baseline", "0.5%"]),
        (["--regression", "slow"], ["--regression", "'slow'", "p99 +50%"]),
        (["--p99", "3ms"], ["--p99", "3ms", "above the median"]),
        (["--tick", "0s"], ["--tick", "100ms"]),
        (["--limit", "1"], ["--limit", "30s"]),
        (["-f", "/nowhere.yaml"], ["nowhere.yaml", "No such file"]),
        (["-f", str(ROOT / "README.md")], ["README.md"]),
        (["-f", str(ROOT / "examples/ner.yaml"), "--service", "other"], ["--service", "other", "bert-ner"]),
        (["--runs", "1", "--regression", "none", "--plot", "/nonexistent/x.png"], ["--plot"]),
    ],
)
def test_wrong_usage_names_the_option_the_value_and_what_is_right(arguments, words):
    with pytest.raises(ModelServeError) as refused:
        app(["rollout", "simulate", *arguments], standalone_mode=False)
    assert [word for word in words if word not in refused.value.message] == []


def test_the_command_of_the_page_works():
    (command,) = re.findall(r"\$ modelserve rollout simulate ((?:.*\\\n)*.*)\n", PAGE)
    done = simulate(*shlex.split(command.replace("\\\n", "")), "--runs", "1")
    header = next(line for line in done.stdout.splitlines() if line.startswith("REGRESSION"))
    columns = ["ROLLED BACK", "PROMOTED", "UNDECIDED", "EXTRA FAILURES", "CANDIDATE REQUESTS"]
    assert [name for name in columns if name not in header or f"| {name} |" not in PAGE] == []
    assert "errors 5% after 300s" in done.stdout
