"""Wrong usage is told in a few lines with exit code 2, never by a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelserve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bench", "m", "--rate", "abc"), "--rate"),
        (("nope",), "nope"),
        (("predict",), "name"),
        (("deploy", "m", "--modle", "x"), "--modle"),
        (("rollout", "wtach", "m"), "wtach"),
    ],
)
def test_it_names_what_is_wrong(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_no_error() -> None:
    assert run("--help").returncode == 0
    assert run("bench", "--help").returncode == 0
