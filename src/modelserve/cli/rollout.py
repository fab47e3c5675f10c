"""rollout ... and rollback: watch and steer how a new revision takes over."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.live import Live

from modelserve.cli import client, explain, replay, simulate
from modelserve.cli.output import AsJson, console, emit, say, share, table
from modelserve.cli.services import NameArgument
from modelserve.cli.watch import line, panel
from modelserve.domain.rollouts import Command
from modelserve.errors import NotFound

NOT_PROMOTED = 5
POLL = 0.5

group = typer.Typer(
    help="Watch and steer how a new revision takes over.",
    epilog="Example: modelserve rollout watch bert-ner",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    explain.register(group)
    simulate.register(group)
    replay.register(group)
    app.add_typer(group, name="rollout")
    app.command(epilog="Example: modelserve rollback bert-ner")(rollback)


@group.command(epilog="Example: modelserve rollout watch bert-ner")
def watch(
    name: NameArgument,
    as_json: AsJson = False,
    promoted: Annotated[
        bool, typer.Option("--until-promoted", help="Leave at the promotion, not after probation.")
    ] = False,
) -> None:
    """Follow a rollout until it is over. Exit code 0 if it was promoted, 5 if not.

    With --json, or where the output is no terminal: one line for every change.
    """
    last: dict[str, Any] = {}
    views = _until_over(name, promoted)
    if as_json:
        for last in views:
            typer.echo(line(last, as_json=True))
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            for last in views:
                live.update(panel(last))
    else:
        for last in views:
            say(line(last, as_json=False))
    if last["phase"] not in ("stable", "probation"):
        raise typer.Exit(NOT_PROMOTED)


def _until_over(name: str, promoted: bool) -> Iterator[dict[str, Any]]:
    """The rollout as it changes, until it is done (or promoted)."""
    last: dict[str, Any] | None = None
    while True:
        view = _latest(name)
        if last is not None and view["id"] != last["id"]:
            yield _end_of(name, last)
            return
        if view != last:
            yield view
        if view["done"] or (promoted and view["phase"] == "probation"):
            return
        last = view
        time.sleep(POLL)


def _end_of(name: str, last: dict[str, Any]) -> dict[str, Any]:
    """How a rollout ended that another one has followed since it was seen last."""
    found = client.control("GET", client.service_path(name) + "/rollouts")
    ended = next((rollout for rollout in found if rollout["id"] == last["id"]), None)
    if ended is None:
        raise NotFound(f"{name} was deleted meanwhile, and with it the rollout of {last['candidate']}")
    return {key: ended[key] for key in last}


def _latest(name: str) -> dict[str, Any]:
    rollout: dict[str, Any] | None = client.control("GET", client.service_path(name))["rollout"]
    if rollout is None:
        raise NotFound(f"{name} has had no rollout yet")
    return rollout


@group.command(epilog="Example: modelserve rollout status bert-ner --json")
def status(name: NameArgument, as_json: AsJson = False) -> None:
    """Where the latest rollout stands, and why."""
    view = _latest(name)
    emit(view) if as_json else console.print(panel(view))


@group.command(epilog="Example: modelserve rollout history bert-ner")
def history(name: NameArgument, as_json: AsJson = False) -> None:
    """Every rollout with every change of its state and the reason."""
    found = client.control("GET", client.service_path(name) + "/rollouts")
    if as_json:
        emit(found)
        return
    for rollout in found:
        console.print(f"[bold]{rollout['candidate']}[/] against {rollout['stable'] or 'nothing'}")
        rows = [
            (_clock(t["at"]), t["after"], share(t["weight"]), t["reason"]) for t in rollout["transitions"]
        ]
        console.print(table(("TIME", "STATE", "WEIGHT", "REASON"), rows))


def _clock(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


@group.command(epilog="Example: modelserve rollout pause bert-ner")
def pause(name: NameArgument, as_json: AsJson = False) -> None:
    """Keep the weight where it is. Evidence of harm still rolls back."""
    _steer(name, Command.PAUSE, as_json)


@group.command(epilog="Example: modelserve rollout resume bert-ner")
def resume(name: NameArgument, as_json: AsJson = False) -> None:
    """Go on with a held rollout."""
    _steer(name, Command.RESUME, as_json)


@group.command(epilog="Example: modelserve rollout promote bert-ner")
def promote(name: NameArgument, as_json: AsJson = False) -> None:
    """Give the candidate all traffic now, without waiting for evidence; in probation, end it."""
    _steer(name, Command.PROMOTE, as_json)


@group.command(epilog="Example: modelserve rollout abort bert-ner")
def abort(name: NameArgument, as_json: AsJson = False) -> None:
    """Give the old revision all traffic back and end the rollout."""
    _steer(name, Command.ABORT, as_json)


def rollback(name: NameArgument, as_json: AsJson = False) -> None:
    """Back to the earlier revision: at once while it is parked, later after its servers have started. Ends a
    rollout that is under way."""
    answer = client.control("POST", client.service_path(name) + "/rollback")
    emit(answer) if as_json else say(answer["message"])


def _steer(name: str, what: Command, as_json: bool) -> None:
    answer = client.control("POST", client.service_path(name) + f"/rollout/{what}")
    emit(answer) if as_json else say(answer["message"])
