"""``experiment plan`` and ``experiment record``, as far as no platform is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelserve.cli.main import app
from modelserve.cli.outcomes import read_items
from modelserve.errors import InvalidInput, ModelServeError

PLAN = ("experiment", "plan", "--baseline", "10%", "--lift", "10%")


def test_a_plan_tells_how_long_it_takes() -> None:
    done = CliRunner().invoke(app, [*PLAN, "--traffic", "6000/m", "--margin", "2%", "--json"])
    told = json.loads(done.stdout)
    assert told["total"] == 2 * told["per_arm"]
    assert told["seconds"] == told["total"] / 100
    assert told["equivalence"] > 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--traffic", "100"), "--traffic: got '100': write new participants"),
        (("--traffic", "0/s"), "--traffic: got '0/s'"),
        (("--margin", "x"), "--margin: got 'x': write a share, such as 0.1 or 10%"),
        (("--baseline", "0"), "--baseline: got 0: must be a rate between 0 and 1"),
        (("--lift", "0"), "--lift: got 0%: must change the baseline"),
    ],
)
def test_what_is_wrong_is_told(wrong: tuple[str, str], said: str) -> None:
    done = CliRunner().invoke(app, [*PLAN, *wrong])
    assert isinstance(done.exception, ModelServeError)
    assert said in done.exception.message


def test_outcomes_are_read_from_an_array_or_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    for text in ('[{"key": "a"}, 2]', '{"key": "a"}\n\n2\n'):
        file.write_text(text)
        assert read_items(file) == [{"key": "a"}, 2]
    file.write_text("1\n{")
    with pytest.raises(InvalidInput, match=r"told\.json:2: not JSON"):
        read_items(file)
    with pytest.raises(InvalidInput, match="No such file"):
        read_items(tmp_path / "gone")
