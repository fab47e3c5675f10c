"""``modelserve``: the command line, put together.

Exit codes: 0 done; 1 refused or failed, with the reason on stderr; 2 wrong usage; 3 no platform runs here;
5 ``rollout watch``: the rollout ended without a promotion; 6 ``bench``: a limit was broken;
7 ``labels import``: some labels were refused.
``rollout replay``: 0 promoted, 1 rolled back, 2 wrong usage, 3 undecided.
"""

from __future__ import annotations

import sys

import typer

from modelserve import __version__
from modelserve._kit.quiet import silence
from modelserve.cli import (
    bench,
    experiment,
    judge,
    labels,
    models,
    platform,
    registry,
    rollout,
    serve,
    services,
    shadow,
)
from modelserve.cli.output import complain
from modelserve.errors import ModelServeError

app = typer.Typer(
    name="modelserve",
    help="Serve AI models and roll out new versions of them by evidence.",
    epilog="Example: modelserve deploy bert-ner --model ./bert-ner\n\n"
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no platform runs here; "
    "rollout watch, rollout replay, bench and labels import have more.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    platform, services, models, registry, rollout, shadow, labels, experiment, judge, serve, bench,
):  # fmt: skip
    group.register(app)


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", help="Show the version and leave.", is_eager=True),
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: an error of ours becomes one line on stderr and an exit code; typer speaks of wrong usage,
    of Ctrl-C and of a pipe that is closed."""
    silence()
    try:
        app()
    except ModelServeError as error:
        sys.exit(complain(error.message, error.code))
    except OSError as error:
        sys.exit(complain(f"{error.filename or 'the system'}: {error.strerror or error}"))
