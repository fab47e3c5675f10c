"""shadow diff: the requests that two versions answer differently."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import typer

from modelserve.cli import client
from modelserve.cli.output import AsJson, console, emit
from modelserve.cli.services import NameArgument
from modelserve.cli.shadow_view import report
from modelserve.domain.differences import DifferenceKind

group = typer.Typer(
    help="See what a new version answers before any client does.",
    epilog="Example: modelserve shadow diff bert-ner",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="shadow")


@group.callback()
def _group() -> None:
    """See what a new version answers before any client does."""


@group.command(epilog="Example: modelserve shadow diff bert-ner --kind boundary")
def diff(
    name: NameArgument,
    limit: Annotated[int, typer.Option(help="Requests to show, at most.", min=1, max=200)] = 10,
    kind: Annotated[
        DifferenceKind | None, typer.Option(help="Only those that differ in this.", case_sensitive=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The requests on which the versions of the latest rollout differ most, with both answers.

    They come from the controller's memory: a restart of it forgets them, and counts go on.
    """
    query = urlencode({"limit": limit} | ({"kind": kind.value} if kind else {}))
    found = client.control("GET", f"{client.service_path(name)}/shadow/diff?{query}")
    emit(found) if as_json else console.print(report(found))
