"""The docs tell everything: a name that the program uses and the docs lack is a mistake in one of them."""

import re
from pathlib import Path

import pytest
import typer.main

from modelserve import errors
from modelserve.cli.main import app
from modelserve.control.app import create_app as control_app
from modelserve.control.book import Book
from modelserve.control.platform import Platform
from modelserve.launchers.memory import MemoryLauncher
from modelserve.manifest import parse_all
from modelserve.packages import open_package
from modelserve.routers.memory import MemoryRouter
from modelserve.serving.grpc.statuses import status
from modelserve.settings import PlatformSettings
from modelserve.stores.blobs import open_blobs
from modelserve.stores.records import open_records
from modelserve.tasks.preprocessing.processors import PROCESSORS
from modelserve.telemetry import SENTENCES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
HTTP = (REFERENCE / "http.md").read_text()
README = (ROOT / "README.md").read_text()


def all_errors(base=errors.ModelServeError):
    kinds = [kind for kind in base.__subclasses__() if kind.__module__ == errors.__name__]
    for kind in kinds:
        yield from all_errors(kind)
    if not kinds:
        yield base


@pytest.mark.parametrize("name", SENTENCES)
def test_every_metric_stands_there_with_its_sentence(name):
    assert f"| `modelserve_{name}` | {SENTENCES[name]} |" in (REFERENCE / "metrics.md").read_text()


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda error: error.code)
def test_every_error_stands_there_with_its_status_and_fault(error):
    row = next(line for line in HTTP.splitlines() if f"`{error.code}`" in line and line.startswith("|"))
    assert f"| {error.status} | {error.fault} | {'yes' if error.retryable else 'no'} |" in row


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda error: error.code)
def test_every_error_stands_there_with_its_grpc_status(error):
    rows = (REFERENCE / "grpc.md").read_text().splitlines()
    row = next(row for row in rows if f"`{error.code}`" in row and row.startswith("|"))
    assert row.startswith(f"| `{status(error('')).name}` |")


@pytest.mark.parametrize("name", PlatformSettings.model_fields)
def test_every_setting_stands_there(name):
    assert f"`MODELSERVE_{name.upper()}`" in (REFERENCE / "settings.md").read_text()


def test_every_route_of_the_control_api_stands_there(tmp_path):
    platform = Platform(
        Book(open_records(f"sqlite:///{tmp_path / 'r.db'}")),
        open_blobs(tmp_path.as_uri()),
        MemoryLauncher(),
        MemoryRouter(),
        (),
    )
    routes = control_app(platform).openapi()["paths"]
    missing = [path for path in routes if path != "/" and f" {path}`" not in HTTP]
    assert missing == []


def leaves(group=None, path=()):
    """Every command that does something, by its words: groups only where they can be called themselves."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        inner = getattr(command, "commands", {})
        if not inner or command.invoke_without_command:
            yield " ".join((*path, name)), command
        if inner:
            yield from leaves(command, (*path, name))


def test_every_class_of_image_processors_stands_in_the_guide():
    page = (ROOT / "docs" / "how-to" / "runtimes" / "hugging-face.md").read_text()
    assert set(re.findall(r"`(\w+ImageProcessor)`", page)) == set(PROCESSORS)


def test_every_command_stands_in_the_readme():
    names = {word for name, _ in leaves() for word in name.split()}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", README)] == []


def test_every_command_has_help_with_an_example():
    lacking = [
        name for name, command in leaves() if f"Example: modelserve {name}" not in (command.epilog or "")
    ]
    assert lacking == []
    assert [name for name, command in leaves() if not command.help] == []
    groups = {name: c for name, c in typer.main.get_command(app).commands.items() if hasattr(c, "commands")}
    assert [n for n, c in groups.items() if f"Example: modelserve {n}" not in (c.epilog or "")] == []


def test_every_file_that_the_docs_point_to_is_there():
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.name)
def test_every_example_is_a_good_spec_of_a_package_that_is_there(file):
    for service in parse_all(file.read_text(), file.name):
        assert open_package(file.parent / service.spec.model.uri).digest
