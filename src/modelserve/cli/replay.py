"""rollout replay: what was recorded, judged anew; a gate for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.progress import track
from rich.text import Text

from modelserve.cli.output import AsJson, complain, console, emit, errors, share, table
from modelserve.cli.simulate import Service, SpecFile, rules
from modelserve.domain.rollouts import Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.errors import InvalidInput, ModelServeError, Unavailable

if TYPE_CHECKING:
    from modelserve.rehearsal import recordings
    from modelserve.rehearsal.replay import Replay

ROLLED_BACK, WRONG_USE, UNDECIDED = 1, 2, 3
READINGS = ("GUARDRAIL", "HARM, ln e", "ROLLS BACK AT", "SAFETY, ln e", "PROMOTES AT")
_COLOURS = {"promoted": "green", "rolled back": "red"}


def register(group: typer.Typer) -> None:
    group.command(
        epilog="Example: modelserve rollout replay requests.jsonl --stable models/bert-ner-1 --candidate "
        "models/bert-ner-2 -f examples/ner.yaml"
    )(replay)


def replay(
    recording: Annotated[
        Path, typer.Argument(help="Looks (rollout export) or requests, a JSON object a line.")
    ],
    file: SpecFile = None,
    service: Service = None,
    stable: Annotated[Path | None, typer.Option(help="Package that answers today.")] = None,
    candidate: Annotated[Path | None, typer.Option(help="Package that would take over.")] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run code that packages come with.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge a recording anew, offline. Exit code 0: promoted, 1: rolled back, 2: wrong use, 3: undecided.

    Recorded looks are judged under the rules of the spec: what if the margin had been another? Recorded
    requests are sent to both packages, each in a model server of its own, and their answers, failures and
    latencies are judged.
    """
    try:
        found = _replayed(recording, rules(file, service), stable, candidate, allow_code)
    except ModelServeError as error:
        complain(error.message)
        raise typer.Exit(WRONG_USE) from None
    emit(found.as_json()) if as_json else console.print(_page(found))
    if found.end != "promoted":
        raise typer.Exit(ROLLED_BACK if found.end == "rolled back" else UNDECIDED)


def _replayed(
    recording: Path, spec: RolloutSpec, stable: Path | None, candidate: Path | None, allow_code: bool
) -> Replay:
    from modelserve.rehearsal import recordings
    from modelserve.rehearsal.replay import replay_looks

    try:
        text = recording.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{recording}: {why}") from None
    if not recordings.is_requests(text):
        if stable is not None or candidate is not None:
            raise InvalidInput(f"--stable, --candidate: are for recorded requests; {recording} has looks")
        return replay_looks(spec, recordings.read_looks(text, str(recording)))
    if stable is None or candidate is None:
        raise InvalidInput("--stable, --candidate: recorded requests need both packages")
    return _asked(recordings.read_requests(text, str(recording)), spec, stable, candidate, allow_code)


def _asked(
    requests: list[recordings.Request], spec: RolloutSpec, stable: Path, candidate: Path, allow_code: bool
) -> Replay:
    from modelserve.rehearsal.asking import ask
    from modelserve.rehearsal.replay import replay_requests, unfit
    from modelserve.rehearsal.servers import serve

    for option, path in (("--stable", stable), ("--candidate", candidate)):
        if not path.exists():
            raise InvalidInput(f"{option}: got {str(path)!r}: there is no such file or folder")
    name = requests[0].model
    with serve(stable, name, allow_code=allow_code) as old:
        try:
            with serve(candidate, name, allow_code=allow_code) as new:
                exchanges = ask(old, new, requests)
                return replay_requests(spec, track(exchanges, "asking", len(requests), console=errors))
        except Unavailable as error:
            return unfit(error.message)


def _page(found: Replay) -> RenderableType:
    """The end and why, where each guardrail stands, and the moments at which something changed."""
    verdict = found.last.verdict
    parts: list[RenderableType] = [
        Text(found.end, style=f"bold {_COLOURS.get(found.end, 'yellow')}"),
        *(Text(f"  {reason}") for reason in verdict.reasons),
    ]
    if verdict.readings:
        parts += [Text(), table(READINGS, _readings(verdict))]
    heads = ("SECONDS", "STAGE", "WEIGHT", "THEN", "NOW", "WHY")
    rows = [
        (
            f"{moment.at:,.1f}",
            moment.stage.kind,
            share(moment.stage.weight),
            moment.recorded or "–",
            moment.verdict.decision,
            moment.verdict.reasons[0] if moment.verdict.reasons else "",
        )
        for moment in found.moments
    ]
    return Group(*parts, Text(), table(heads, rows))


def _readings(verdict: Verdict) -> list[tuple[str, ...]]:
    return [
        (r.metric, f"{r.harm:.2f}", f"{r.harm_bound:.2f}", f"{r.safety:.2f}", f"{r.safety_bound:.2f}")
        for r in verdict.readings
    ]
