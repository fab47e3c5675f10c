"""rollout explain, export and plot: why a rollout went as it did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from modelserve.cli import client
from modelserve.cli.course_view import drawn
from modelserve.cli.explain_view import page
from modelserve.cli.output import AsJson, console, emit, say
from modelserve.cli.services import NameArgument

DIFFERS = 1
POINTS_OF_PICTURE, POINTS_OF_TERMINAL = 1500, 400

Chosen = Annotated[
    str,
    typer.Option(
        "--rollout", help="Its id, how that begins, or its candidate's name; the latest if left out."
    ),
]


def register(group: typer.Typer) -> None:
    """Into the group of ``modelserve rollout``."""
    group.command(epilog="Example: modelserve rollout explain bert-ner")(explain)
    group.command(epilog="Example: modelserve rollout plot bert-ner --out rollout.png")(plot)
    group.command(epilog="Example: modelserve rollout export bert-ner > looks.jsonl")(export)


def explain(name: NameArgument, rollout: Chosen = "latest", as_json: AsJson = False) -> None:
    """Judge a rollout again from what is stored, and tell why it went as it did.

    Exit code 0 if every verdict is the same to the last bit, 1 if not.
    """
    found = client.control("GET", f"{_path(name, rollout)}/explain")
    emit(found) if as_json else console.print(page(found))
    if not found["same"]:
        raise typer.Exit(DIFFERS)


def export(
    name: NameArgument,
    rollout: Chosen = "latest",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON array instead of one object on a line.")
    ] = False,
) -> None:
    """Every look that is kept, one JSON object on a line: for modelserve rollout replay, or a notebook."""
    lines = client.lines(f"{_path(name, rollout)}/looks")
    if as_json:
        sys.stdout.write("[" + ",\n".join(lines) + "]\n")
        return
    for line in lines:
        sys.stdout.write(line + "\n")


def plot(
    name: NameArgument,
    rollout: Chosen = "latest",
    out: Annotated[
        Path | None, typer.Option(help="Draw to this file instead; its ending says the kind: out.png.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw evidence against its bounds over time, with the weights, requests and failures."""
    points = POINTS_OF_PICTURE if out or as_json else POINTS_OF_TERMINAL
    found: dict[str, Any] = client.control("GET", f"{_path(name, rollout)}/course?points={points}")
    if out is not None:
        from modelserve.cli.course_picture import draw

        draw(found, out)
    if as_json:
        emit(found)
    elif out is not None:
        say(f"{out} shows {found['candidate']} against {found['stable'] or 'nothing'}")
    else:
        console.print(drawn(found, console.width))


def _path(name: str, rollout: str) -> str:
    return f"{client.service_path(name)}/rollouts/{client.quoted(rollout)}"
