"""What ``modelserve rollout explain`` shows: whether all verdicts are the same, then the story."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

View = dict[str, Any]


def page(found: View) -> RenderableType:
    """The whole answer of the control API, for a person on call."""
    return Group(*_head(found), *(_chapter(i, c) for i, c in enumerate(found["chapters"], start=1)))


def _head(found: View) -> Iterator[RenderableType]:
    rollout = found["rollout"]
    colour = "green" if found["same"] else "bold red"
    yield Text.from_markup(
        f"[bold]{escape(rollout['candidate'])}[/] against {escape(rollout['stable'] or 'nothing')}: "
        f"{rollout['phase']}   [dim]rollout {rollout['id'][:8]}[/]"
    )
    yield Text(found["verdict"], style=colour)
    for difference in found["differences"]:
        yield Text(f"  {difference['words']}", style="red")
    if (more := found["differences_in_all"] - len(found["differences"])) > 0:
        yield Text(f"  and {more:,} more", style="red")
    for note in found["notes"]:
        yield Text(f"note: {note}", style="yellow")


def _chapter(number: int, chapter: View) -> RenderableType:
    head = Text.from_markup(f"\n[bold]{number}. {escape(chapter['title'])}[/]   [dim]{_when(chapter)}[/]")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for label, words in _lines(chapter):
        grid.add_row(label, words)
    return Group(head, Padding(grid, (0, 0, 0, 3)))


def _lines(chapter: View) -> Iterator[tuple[str, Text]]:
    for i, words in enumerate(chapter["seen"]):
        yield "" if i else "seen", Text(words)
    for i, words in enumerate(chapter["missing"]):
        yield "" if i else "missing", Text(words, style="yellow")
    for i, reading in enumerate(chapter["evidence"]):
        yield (
            "" if i else "evidence",
            Text(f"{reading['metric']}: {reading['words']}", style=_colour(reading)),
        )
    if chapter["ended_by"]:
        yield "decided", Text(f"by {chapter['ended_by']}; then {chapter['then']}")
    yield "why", Text(chapter["why"])


def _colour(reading: View) -> str:
    return "red" if (reading["harm"] or 0) >= 1 else ""


def _when(chapter: View) -> str:
    looks = "1 look" if chapter["looks"] == 1 else f"{chapter['looks']:,} looks"
    until = clock(chapter["to"]) if chapter["to"] else "now"
    return f"{clock(chapter['from'])} to {until}, {looks}"


def clock(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")
