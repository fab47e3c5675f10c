"""models, models gc: which artefacts there are, what they do now, and making room."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from modelserve.cli import client
from modelserve.cli.output import AsJson, console, emit, say, table

group = typer.Typer()


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="models")


@group.callback(invoke_without_command=True, epilog="Example: modelserve models --json")
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List every revision of every service with the digest of its artefact."""
    if context.invoked_subcommand is None:
        _list(as_json)


@group.command(epilog="Example: modelserve models gc")
def gc(
    keep: Annotated[int, typer.Option(min=0, help="Stop when so many bytes are left in the store.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Drop artefacts that no revision and no registered version names, the longest unused first."""
    answer = client.control("POST", f"/api/v1/artefacts/gc?keep={keep}")
    emit(answer) if as_json else say(answer["message"])


def _list(as_json: bool) -> None:
    names = [service["name"] for service in client.control("GET", "/api/v1/status")["services"]]
    found = [r for name in names for r in client.control("GET", client.service_path(name) + "/revisions")]
    if as_json:
        emit(found)
        return
    if not found:
        say("no models yet; deploy one with: modelserve deploy NAME --model ./folder")
        return
    rows = [(r["revision"], r["role"], r["digest"][:19], _when(r["created"]), r["uri"]) for r in found]
    console.print(table(("REVISION", "ROLE", "DIGEST", "CREATED", "FROM"), rows))


def _when(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
