"""Every module and every environment ..."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.terraform.tools import ENVIRONMENTS, MODULES, TREE, Workspace

FILES = ("main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md")


def test_is_formatted(tree: Workspace) -> None:
    assert tree.run(".", "fmt", "-check", "-recursive", check=False).stdout == ""


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_is_valid_by_the_providers_schema(tree: Workspace, environment: str) -> None:
    tree.init(f"environments/{environment}")
    tree.run(f"environments/{environment}", "validate", "-no-color")


@pytest.mark.parametrize("module", MODULES)
def test_has_the_five_files(module: str) -> None:
    assert [name for name in FILES if not (TREE / "modules" / module / name).is_file()] == []


@pytest.mark.parametrize("module", [name for name in MODULES if name != "platform"])
def test_keeps_its_promises_with_its_options_on_and_off(tree: Workspace, module: str) -> None:
    tree.init(f"modules/{module}")
    done = tree.run(f"modules/{module}", "test", "-no-color")
    passed, failed = map(int, re.findall(r"(\d+) passed, (\d+) failed", done.stdout)[-1])
    assert (passed >= 3, failed) == (True, 0), done.stdout


@pytest.mark.parametrize("module", MODULES)
def test_describes_each_variable_and_output(module: str) -> None:
    for name in ("variables.tf", "outputs.tf"):
        text = (TREE / "modules" / module / name).read_text()
        blocks = re.findall(r'^(?:variable|output) "(\w+)" \{\n(.*?)^\}', text, re.DOTALL | re.MULTILINE)
        assert [block for block, body in blocks if "description" not in body] == []


def test_has_a_readme_that_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(TREE / "readmes.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rotates_secrets_by_what_lies_beside_it() -> None:
    """The packed function is made of the one that people read."""
    folder = TREE / "modules/secrets/rotation"
    before = (folder / "rotate.zip").read_bytes()
    subprocess.run([sys.executable, str(folder / "build.py")], check=True)
    assert (folder / "rotate.zip").read_bytes() == before
