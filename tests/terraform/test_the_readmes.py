"""The examples in the modules' READMEs ..."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terraform.tools import LOCAL, MODULES, TREE, resources, workspace

ROOT = """\
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
"""


def example(module: str) -> str:
    found = re.search(r"```hcl\n(.*?)```", (TREE / "modules" / module / "README.md").read_text(), re.DOTALL)
    assert found, f"{module}: its README has no example"
    return found[1]


@pytest.mark.parametrize(
    "modules", [[m for m in MODULES if m != "platform"], ["platform"]], ids=["one by one", "put together"]
)
def test_can_be_planned(tmp_path: Path, aws: str, modules: list[str]) -> None:
    space = workspace(tmp_path, AWS_ENDPOINT_URL=aws)
    folder = space.path / "environments/readmes"
    folder.mkdir()
    (folder / "main.tf").write_text(ROOT + LOCAL + "\n".join(map(example, modules)))
    space.init("environments/readmes")
    plan = space.plan("environments/readmes")
    made = {each["address"].split(".")[1] for each in resources(plan["planned_values"]["root_module"])}
    assert made == set(modules)
