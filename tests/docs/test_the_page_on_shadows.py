"""The page on shadows shows specs that are read, kinds that exist, and a command that works."""

import re
from pathlib import Path

import pytest

from modelserve.domain.differences import DifferenceKind
from modelserve.domain.services import Shadow
from modelserve.manifest import parse

PAGE = (Path(__file__).parents[2] / "docs/how-to/shadow.md").read_text()
WHOLE, PART = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)


def test_its_whole_spec_is_read_and_means_the_defaults():
    assert parse(WHOLE, "shadow.md").spec.rollout.shadow == Shadow()


def test_its_custom_comparison_is_read():
    indented = "".join(f"  {line}\n" for line in PART.splitlines())
    spec = WHOLE.partition("  rollout:")[0] + indented
    assert parse(spec, "shadow.md").spec.rollout.shadow.compare.python == "acme_checks:differ"


@pytest.mark.parametrize("kind", DifferenceKind)
def test_every_kind_of_difference_stands_there(kind):
    assert f"`{kind}`" in PAGE
