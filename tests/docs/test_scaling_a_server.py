"""The page about HTTP workers: its file is a good spec, and its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from modelserve.manifest import parse
from modelserve.serving.workers.parent import MOST, PROVEN

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "scaling-a-server.md").read_text()


def test_the_file_is_a_good_spec() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert parse(block, "scaling-a-server.md").spec.server.http_workers == 2


def test_the_numbers_are_those_of_the_code() -> None:
    assert (MOST, PROVEN) == (5, 60.0)
    assert "after five deaths in a row, each within a minute" in PAGE
