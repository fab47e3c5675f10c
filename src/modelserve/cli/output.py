"""How the command line speaks: tables and sentences for people, JSON for programs, errors on stderr.

Rich leaves colours out where NO_COLOR is set or the output is no terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console(highlight=False, soft_wrap=True, emoji=False)
if not console.is_terminal:
    console.width = 200  # a pipe has no width: nothing is cut for it
errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

NOT_RUNNING = 3

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead.")]


def complain(message: str, code: str = "error") -> int:
    """Print an error; returns the exit code that fits it."""
    errors.print(f"[bold red]error:[/] {escape(message)}")
    return NOT_RUNNING if code == "not_running" else 1


def emit(value: Any) -> None:
    """JSON, indented, on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def say(message: str) -> None:
    console.print(escape(message))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain table; numbers are not aligned for you: pass text."""
    grid = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(escape(str(cell)) for cell in row))
    return grid


def counts(totals: Mapping[str, int], arm: str) -> str:
    """``"3/1200"``: failures of requests."""
    return f"{totals.get(f'{arm}_failures', 0)}/{totals.get(f'{arm}_requests', 0)}"


def share(value: float) -> str:
    return f"{value * 100:g} %"


def rate(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.2f} %"
