"""experiment ...: which revision is better, by what people do with its answers."""

from __future__ import annotations

import datetime
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from modelserve.cli import client
from modelserve.cli.experiment_course import MOST, drawn
from modelserve.cli.experiment_view import show_conclusion, show_metric, show_plan, show_state
from modelserve.cli.outcomes import HARMLESS, read_items, told
from modelserve.cli.output import AsJson, console, emit, say, share, table
from modelserve.errors import InvalidInput
from modelserve.experiments.planning import plan as make_plan

NameArgument = Annotated[str, typer.Argument(help="Name of the experiment.")]
PATH = "/api/v1/experiments"
POINTS_OF_PICTURE = 200
SHOWN = 20
"""Problems that are listed one by one."""

group = typer.Typer(
    help="Compare revisions by what people do with their answers.",
    epilog="Example: modelserve experiment results tone",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="experiment")


@group.command("list", epilog="Example: modelserve experiment list")
def list_all(as_json: AsJson = False) -> None:
    """Every experiment, over or not."""
    found = client.control("GET", PATH)
    if as_json:
        emit(found)
        return
    if not found:
        say("no experiments yet; begin one with: modelserve apply -f experiment.yaml")
        return
    rows = [(e["name"], e["service"], e["phase"], _since(e), _arms(e), e["reason"]) for e in found]
    console.print(table(("EXPERIMENT", "SERVICE", "STATE", "SINCE", "ARMS", "REASON"), rows))


@group.command(epilog="Example: modelserve experiment stop tone")
def stop(name: NameArgument, as_json: AsJson = False) -> None:
    """End an experiment: the stable revision answers everybody again. Outcomes are still taken."""
    answer = client.control("POST", f"{client.experiment_path(name)}/stop")
    emit(answer) if as_json else say(answer["message"])


@group.command(epilog="Example: modelserve experiment delete tone")
def delete(name: NameArgument, as_json: AsJson = False) -> None:
    """Forget an experiment with its exposures and outcomes; one that runs ends by it."""
    answer = client.control("DELETE", client.experiment_path(name))
    emit(answer) if as_json else say(answer["message"])


@group.command(epilog="Example: modelserve experiment status tone")
def status(name: NameArgument, as_json: AsJson = False) -> None:
    """Where an experiment stands, and what its first metric says by now."""
    found = client.control("GET", f"{client.experiment_path(name)}/results")
    if as_json:
        emit(found)
        return
    show_state(found)
    show_metric(found["metrics"][0])
    show_conclusion(found)


@group.command(epilog="Example: modelserve experiment results tone --json")
def results(name: NameArgument, as_json: AsJson = False) -> None:
    """Every metric of every arm, with intervals that hold whenever you look."""
    found = client.control("GET", f"{client.experiment_path(name)}/results")
    if as_json:
        emit(found)
        return
    show_state(found)
    for metric in found["metrics"]:
        show_metric(metric)
    show_conclusion(found)


@group.command(epilog="Example: modelserve experiment plot tone --out tone.png")
def plot(
    name: NameArgument,
    out: Annotated[
        Path | None, typer.Option(help="Draw to this file instead; its ending says the kind: out.png.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw how the results came about: differences to the control and their limits, outcome by outcome."""
    points = POINTS_OF_PICTURE if out or as_json else MOST
    found: dict[str, Any] = client.control("GET", f"{client.experiment_path(name)}/course?points={points}")
    if out is not None:
        from modelserve.cli.experiment_picture import draw

        draw(found, out)
    if as_json:
        emit(found)
    elif out is not None:
        say(f"{out} shows {name}")
    else:
        console.print(drawn(found, console.width))


@group.command(epilog="Example: modelserve experiment record tone outcomes.jsonl")
def record(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="JSON array, or one JSON object a line; - for stdin.")],
    as_json: AsJson = False,
) -> None:
    """Tell what became of participants. Exit code 1 if an outcome was neither kept nor known already."""
    answer = told(name, read_items(file))
    if as_json:
        emit(answer)
    else:
        for problem in answer["problems"][:SHOWN]:
            say(f"item {problem['index']}: {problem['status']}: {problem['detail']}")
        say(
            ", ".join(f"{count} {status}" for status, count in answer["counts"].items() if count) or "nothing"
        )
    if any(count for said, count in answer["counts"].items() if said not in HARMLESS):
        raise typer.Exit(1)


@group.command(epilog="Example: modelserve experiment plan --baseline 10% --lift 10% --traffic 100/s")
def plan(
    baseline: Annotated[str, typer.Option(help="The control's rate: 0.1 or 10%.")],
    lift: Annotated[str, typer.Option(help="Relative change that must be found: 10%, -5%.")],
    power: Annotated[float, typer.Option(min=0.5, max=0.999, help="Chance of finding it.")] = 0.8,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="As in the spec.")] = 0.95,
    arms: Annotated[int, typer.Option(min=2, max=8, help="Arms of the same weight.")] = 2,
    margin: Annotated[str | None, typer.Option(help="Also plan to show no difference beyond it: 1%.")] = None,
    traffic: Annotated[str | None, typer.Option(help="New participants: 100/s, 5000/h or 20000/d.")] = None,
    as_json: AsJson = False,
) -> None:
    """How many participants an experiment needs, looking at it at any time included. Needs no platform."""
    rate = _traffic(traffic) if traffic else None
    found = make_plan(
        _share(baseline, "--baseline"),
        _share(lift, "--lift"),
        power=power,
        confidence=confidence,
        arms=arms,
        margin=_share(margin, "--margin") if margin else None,
    )
    seconds = found.total / rate if rate else None
    if as_json:
        emit(asdict(found) | {"total": found.total, "seconds": seconds})
    else:
        show_plan(found, seconds)


def _share(text: str, option: str) -> float:
    match = re.fullmatch(r"([-+]?[0-9]{1,6}(?:\.[0-9]{1,9})?)(%?)", text)
    if match is None:
        raise InvalidInput(f"{option}: got {text!r}: write a share, such as 0.1 or 10%")
    return float(match[1]) / (100 if match[2] else 1)


def _traffic(text: str) -> float:
    """New participants a second."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/([smhd])", text)
    if match is None or float(match[1]) == 0:
        raise InvalidInput(f'--traffic: got {text!r}: write new participants in a time, such as "100/s"')
    return float(match[1]) / {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _since(experiment: dict[str, Any]) -> str:
    seconds = experiment["ended"] or experiment["started"] or experiment["applied"]
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _arms(experiment: dict[str, Any]) -> str:
    return ", ".join(f"{arm['name']} {share(arm['weight'])}" for arm in experiment["arms"])
