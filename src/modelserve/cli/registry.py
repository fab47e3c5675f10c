"""registry ...: models under names, in numbered versions, with aliases."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from modelserve.cli import client
from modelserve.cli.output import AsJson, console, emit, say, table
from modelserve.cli.services import absolute, patiently
from modelserve.errors import InvalidInput

MODELS = "/api/v1/registry/models"

group = typer.Typer(
    help="Keep models under names, in versions that never change.",
    epilog="Example: modelserve registry list",
    no_args_is_help=True,
)

Model = Annotated[str, typer.Argument(help="Name of the registered model.")]
Alias = Annotated[str, typer.Argument(help="Such as champion or challenger.")]


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="registry")


@group.command(
    "register", epilog="Example: modelserve registry register bert-ner ./models/bert-ner-2 --metric f1=0.94"
)
def add(
    model: Model,
    uri: Annotated[str, typer.Argument(help="Folder of a package, one model file, or a model URI.")],
    description: Annotated[str, typer.Option(help="What is special about this version.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="NAME=TEXT; may be given many times.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER; may be given many times.")] = None,
    alias: Annotated[list[str] | None, typer.Option(help="Point this alias to it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a version: the model is brought into the artefact store and gets the next number."""
    body = {
        "uri": absolute(uri, Path.cwd()),
        "description": description,
        "tags": dict(_pair("--tag", text) for text in tag or ()),
        "metrics": {name: _number(name, text) for name, text in (_pair("--metric", m) for m in metric or ())},
        "aliases": list(alias or ()),
    }
    answer = patiently("POST", f"{_path(model)}/versions", body)
    emit(answer) if as_json else say(answer["message"])


@group.command("list", epilog="Example: modelserve registry list --json")
def list_(as_json: AsJson = False) -> None:
    """Every registered model with its latest version and its aliases."""
    found = client.control("GET", MODELS)
    if as_json:
        emit(found)
    elif not found:
        say("nothing is registered yet; add a model with: modelserve registry register NAME ./folder")
    else:
        rows = [(m["name"], m["versions"][-1]["number"], _aliases(m)) for m in found]
        console.print(table(("MODEL", "LATEST", "ALIASES"), rows))


@group.command(epilog="Example: modelserve registry show bert-ner")
def show(model: Model, as_json: AsJson = False) -> None:
    """Every version of a model: where it came from, what was measured, and which aliases point to it."""
    found = client.control("GET", _path(model))
    if as_json:
        emit(found)
        return
    rows = [
        (
            v["number"],
            _aliases(found, v["number"]),
            v["digest"][:12],
            _when(v["created"]),
            _facts(v),
            v["uri"],
        )
        for v in found["versions"]
    ]
    console.print(table(("VERSION", "ALIASES", "DIGEST", "CREATED", "FACTS", "FROM"), rows))


@group.command(epilog="Example: modelserve registry alias bert-ner champion 2")
def alias(
    model: Model,
    alias: Alias,
    version: Annotated[int, typer.Argument(min=1, help="Number of the version.")],
    as_json: AsJson = False,
) -> None:
    """Make an alias or move it, in one step. Services that name it follow when they are applied again."""
    answer = client.control("PUT", f"{_path(model)}/aliases/{quote(alias, safe='')}", {"version": version})
    emit(answer) if as_json else say(answer["message"])


@group.command(epilog="Example: modelserve registry unalias bert-ner challenger")
def unalias(model: Model, alias: Alias, as_json: AsJson = False) -> None:
    """Remove an alias; the version stays."""
    answer = client.control("DELETE", f"{_path(model)}/aliases/{quote(alias, safe='')}")
    emit(answer) if as_json else say(answer["message"])


@group.command(epilog="Example: modelserve registry delete bert-ner --version 1")
def delete(
    model: Model,
    version: Annotated[int | None, typer.Option(min=1, help="Only this version; all if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forget a model or one version of it; refused while a service serves it."""
    path = _path(model) if version is None else f"{_path(model)}/versions/{version}"
    answer = client.control("DELETE", path)
    emit(answer) if as_json else say(answer["message"])


def _path(model: str) -> str:
    return f"{MODELS}/{quote(model, safe='')}"


def _pair(option: str, text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise InvalidInput(f"{option}: got {text!r}: write NAME=VALUE")
    return name, value


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"--metric: got {name}={text}: the value must be a finite number")
    return number


def _aliases(model: dict[str, Any], number: int | None = None) -> str:
    names = [f"{alias} → {n}" if number is None else alias for alias, n in model["aliases"].items()
             if number in (None, n)]  # fmt: skip
    return ", ".join(names) or "–"


def _facts(version: dict[str, Any]) -> str:
    facts = [f"{name}={value:g}" for name, value in version["metrics"].items()]
    facts += [f"{name}={value}" for name, value in version["tags"].items()]
    return " ".join(facts) or version["description"][:40] or "–"


def _when(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
