"""labels ...: what turned out to be true of requests, by request id."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.progress import Progress, TextColumn

from modelserve.cli import client
from modelserve.cli.label_files import Format, Row, rows
from modelserve.cli.output import AsJson, console, emit, errors, say, table
from modelserve.cli.services import NameArgument
from modelserve.domain.labels import LabelState

REFUSED = 7
ITEMS = 1000
"""Labels in one call of the API."""
BYTES = 2 * 1024 * 1024
"""About how many bytes one call may have."""
SHOWN = 20
"""Refused lines that people are shown; programs get a thousand."""
TOLD = 1000

group = typer.Typer(
    help="Tell what turned out to be true of requests.",
    epilog="Example: modelserve labels import labels.csv --service digits",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="labels")


@group.command("import", epilog="Example: modelserve labels import labels.csv --service digits")
def import_(
    file: Annotated[str, typer.Argument(help="CSV with a header, or JSON Lines; - for stdin.")],
    service: Annotated[str | None, typer.Option(help="The service of lines that name none.")] = None,
    format: Annotated[Format | None, typer.Option(help="Told from the first line when left out.")] = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Labels without a prediction are no failure.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a file of labels. Exit code 0 if all are here now, 7 if some were refused; good lines count
    whatever the others are like."""
    summary = Summary()
    with _open(file) as lines:
        _send_all(rows(lines, format, service), summary)
    emit(summary.view()) if as_json else summary.show()
    if summary.failed(allow_unknown):
        raise typer.Exit(REFUSED)


@group.command(epilog="Example: modelserve labels status digits")
def status(name: NameArgument, as_json: AsJson = False) -> None:
    """What is remembered of a service's predictions, and what its labels say of each revision."""
    found = client.control("GET", client.service_path(name) + "/labels")
    if as_json:
        emit(found)
        return
    if not found["guarded"]:
        say(f"no guardrail of {name} is about labels: what it predicts is not remembered")
    missed = f", {found['missed']:,} missed" if found["missed"] else ""
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(found["labels"].items())) or "none"
    say(f"{found['predictions']:,} predictions remembered{missed}; labels: {counts}")
    lines = [(r["revision"], r["metric"], f"{r['labels']:,}", _percent(r)) for r in found["revisions"]]
    if lines:
        console.print(table(("REVISION", "METRIC", "LABELS", "VALUE"), lines))


def _percent(row: dict[str, Any]) -> str:
    value = row["value"]
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.2f} %"


class Summary:
    """What became of the lines of a file."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.refused: list[dict[str, Any]] = []

    def add(self, line: int, state: str, request_id: str, detail: str) -> None:
        self.states[state] += 1
        if LabelState(state).refused and len(self.refused) < TOLD:
            told = {"line": line, "request_id": request_id, "state": state, "detail": detail}
            self.refused.append(told)

    def failed(self, allow_unknown: bool) -> bool:
        fine = {LabelState.UNKNOWN.value} if allow_unknown else set()
        return any(LabelState(state).refused for state in set(self.states) - fine)

    def view(self) -> dict[str, Any]:
        return {state.value: self.states[state.value] for state in LabelState} | {"refused": self.refused}

    def show(self) -> None:
        for told in self.refused[:SHOWN]:
            name = f" {told['request_id']}" if told["request_id"] else ""
            say(f"line {told['line']}{name}: {told['state']}: {told['detail']}")
        if (more := sum(self.states[s.value] for s in LabelState if s.refused) - SHOWN) > 0:
            say(f"... and {more:,} more lines")
        counts = [f"{self.states[s.value]:,} {s}" for s in LabelState if self.states[s.value]]
        say("labels: " + (", ".join(counts) or "the file has none"))


def _open(file: str) -> TextIO:
    return sys.stdin if file == "-" else Path(file).open(encoding="utf-8", errors="replace", newline="")


def _send_all(found: Iterable[Row], summary: Summary) -> None:
    """In calls of a thousand; a terminal is shown how many are done."""
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,} labels"))
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("sending", total=None)
        for batch in _batches(found):
            _send(batch, summary)
            progress.advance(task, len(batch))


def _batches(found: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in found:
        batch.append(row)
        size += len(json.dumps(row.item))
        if len(batch) >= ITEMS or size >= BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _send(batch: list[Row], summary: Summary) -> None:
    sent = [row for row in batch if row.item is not None]
    for row in batch:
        if row.item is None:
            summary.add(row.line, LabelState.MALFORMED.value, "", row.problem)
    if sent:
        answer = client.control("POST", "/api/v1/labels", [row.item for row in sent])
        for row, told in zip(sent, answer["items"], strict=True):
            summary.add(row.line, told["state"], told["request_id"], told["detail"])
