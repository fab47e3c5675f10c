"""rollout simulate: what a policy would do, before it decides about real traffic."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from modelserve.cli import simulate_view
from modelserve.cli.output import AsJson, console, emit, errors
from modelserve.domain.quantities import parse_duration, parse_percent
from modelserve.domain.services import RolloutSpec
from modelserve.errors import InvalidInput

_RATE = re.compile(r"^([0-9]{1,7}(?:\.[0-9]{1,3})?)/s$")
MOST_PER_SECOND = 100_000.0

SpecFile = Annotated[
    Path | None, typer.Option("--file", "-f", help="Spec whose rollout rules decide; else the defaults.")
]
Service = Annotated[str | None, typer.Option(help="Which service, where the file has several.")]


def register(group: typer.Typer) -> None:
    group.command(
        epilog='Example: modelserve rollout simulate --traffic 100/s --baseline 0.1% --regression "errors 1%"'
    )(simulate)


def simulate(
    file: SpecFile = None,
    service: Service = None,
    traffic: Annotated[str, typer.Option(help="Requests a second to both versions.")] = "100/s",
    baseline: Annotated[str, typer.Option(help="Share of stable's answers that fail.")] = "0.1%",
    regressions: Annotated[
        list[str] | None,
        typer.Option(
            "--regression",
            help='What is wrong with the candidate: "none", "errors 1%", "p50 +20%", "p99 +50%", '
            '"answers 10%", with "after 300s" if it starts late. As often as you like; "none" and '
            '"errors 1%" if left out.',
        ),
    ] = None,
    p50: Annotated[str, typer.Option(help="Stable's median latency.")] = "20ms",
    p99: Annotated[str, typer.Option(help="Stable's 99th percentile.")] = "60ms",
    disagreement: Annotated[
        str, typer.Option(help="Share of shadow pairs that differ even if nothing is wrong.")
    ] = "0%",
    runs: Annotated[int, typer.Option(min=1, max=100_000, help="Rollouts of each regression.")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of chance; equal seeds, equal results.")] = 0,
    tick: Annotated[str, typer.Option(help="Time between two looks of the judge.")] = "1s",
    limit: Annotated[str, typer.Option(help="Simulated time after which a run is undecided.")] = "1h",
    processes: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; as many as there are cores.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw when it is decided, and the cost: out.png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Roll out candidates that do not exist, and tell how often the judge is wrong and how fast it is right.

    Offline, without a platform. The rules that decide are those of the controller; only traffic and time are
    made up. The chance of a false rollback is the share of rollbacks where nothing is wrong ("none").
    """
    from modelserve._kit.machine import usable_cores
    from modelserve.rehearsal import simulation  # numpy: only this command pays for it
    from modelserve.rehearsal.regressions import parse_regression
    from modelserve.rehearsal.scene import Scene, rehearsable

    spec, left = rehearsable(rules(file, service))
    scenes = [
        Scene(
            rate=_rate(traffic),
            baseline=_read(baseline, "--baseline", _below_one),
            regression=parse_regression(text),
            **_latency(p50, p99),
            disagreement=_read(disagreement, "--disagreement", _below_one),
            tick=_read(tick, "--tick", _tick),
        )
        for text in (regressions or ["none", "errors 1%"])
    ]
    seconds = _read(limit, "--limit", _limit)
    if left:
        errors.print(f"[yellow]left out, since a simulation has no figures for it:[/] {', '.join(left)}")
    with simulate_view.progress(runs * len(scenes)) as told:
        found = simulation.simulate(spec, scenes, runs, seed, seconds, processes or usable_cores(), told)
    emit(simulate_view.as_json(spec, found)) if as_json else console.print(simulate_view.page(found))
    if plot is not None:
        from modelserve.rehearsal.picture import draw

        draw(found, plot)


def rules(file: Path | None, service: str | None) -> RolloutSpec:
    """The rollout rules of a spec file; the defaults without one.

    Raises InvalidInput for a file that can't be read or does not say which service, InvalidSpec for mistakes.
    """
    from modelserve.manifest import parse_all

    if file is None:
        return RolloutSpec()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"--file: got {str(file)!r}: {why}") from None
    found = {each.name: each for each in parse_all(text, str(file))}
    if service is None and len(found) > 1:
        raise InvalidInput(f"--service: {file} has {', '.join(found)}; say which")
    if service is not None and service not in found:
        raise InvalidInput(f"--service: got {service!r}; {file} has {', '.join(found)}")
    return found[service or next(iter(found))].spec.rollout


def _rate(text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None or not 0 < float(match[1]) <= MOST_PER_SECOND:
        raise InvalidInput(
            f'--traffic: got {text!r}; write requests a second, such as "100/s", up to 100000/s'
        )
    return float(match[1])


def _latency(p50: str, p99: str) -> dict[str, float]:
    median, tail = _read(p50, "--p50", parse_duration), _read(p99, "--p99", parse_duration)
    if not 0.0005 <= median < tail <= 30:
        raise InvalidInput(
            f"--p99: got {p99!r} with --p50 {p50}; it lies above the median, both in 0.5ms..30s"
        )
    return {"p50": median, "p99": tail}


def _below_one(text: object) -> float:
    share = parse_percent(text)
    if share >= 1:
        raise ValueError("it must be below 100%")
    return share


def _tick(text: object) -> float:
    seconds = parse_duration(text)
    if not 0.1 <= seconds <= 60:
        raise ValueError("it must lie in 100ms..60s")
    return seconds


def _limit(text: object) -> float:
    seconds = parse_duration(text)
    if not 1 <= seconds <= 7 * 86400:
        raise ValueError("it must lie in 1s..7d")
    return seconds


def _read(text: str, option: str, parse: Callable[[object], float]) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidInput(f"{option}: got {text!r}; {error}") from None
