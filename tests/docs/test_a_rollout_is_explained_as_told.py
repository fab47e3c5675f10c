"""The page on explaining a rollout: its commands work, and what it shows is what there is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelserve.rollout.looks import decode, from_json

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/explain-a-rollout.md").read_text()
COMMANDS = re.findall(r"^\$ (modelserve rollout .*)$", PAGE, re.M)
RULES = {"shadow": None, "canary": {"steps": ["50%", "100%"], "minStep": "1h"}}


@pytest.fixture(scope="module")
def rolling(tmp_path_factory, new_platform, models):
    """A platform with a rollout of ``bert-ner`` that has been looked at some times."""
    running = new_platform(tmp_path_factory.mktemp("explained") / "home")
    running.up()
    try:
        for number in (1, 2):
            running.apply("bert-ner", models / f"bert-ner-{number}", rollout=RULES)
            running.wait_for_phase("bert-ner", "stable" if number == 1 else "canary")
        running.wait_for("some looks", lambda: len(running.cli("rollout", "export", "bert-ner")) > 3)
        yield running
    finally:
        running.cli("down")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works(rolling, command, tmp_path):
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("modelserve", f"{sys.executable} -m modelserve", 1)],
        env=os.environ | {"MODELSERVE_HOME": str(rolling.home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = {
        "explain": r"judged again: \d+ looks, the same verdict every time, to the last bit",
        "plot": r"bert-ner-00002 against bert-ner-00001",
        "export": "^$",
    }
    assert re.search(shown[command.split()[2]], done.stdout)
    if "--out" in command:
        assert (tmp_path / "rollout.png").read_bytes().startswith(b"\x89PNG")
    if "export" in command:
        lines = (tmp_path / "looks.jsonl").read_text().splitlines()
        assert [decode(line).number for line in lines] == list(range(len(lines)))


def test_the_commands_tell_programs_too(rolling):
    looks = rolling.cli("rollout", "export", "bert-ner")
    assert from_json(looks[0]).number == 0
    assert rolling.cli("rollout", "plot", "bert-ner")["candidate"] == "bert-ner-00002"
    assert "has no one rollout" in rolling.cli("rollout", "explain", "bert-ner", "--rollout", "nope", code=1)
    assert "there is no service 'x'" in rolling.cli("rollout", "export", "x", code=1)


def test_the_look_that_it_shows_is_one():
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    look = from_json(json.loads(shown))
    assert (look.number, look.observation.stable.requests) == (7, 112)
    assert sum(look.observation.candidate.latency) == 5


def test_the_picture_is_small_enough_to_read_over_a_telephone():
    assert (ROOT / "docs/pictures/rollout.png").stat().st_size < 150 * 1024
