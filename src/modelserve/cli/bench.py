"""bench: load on a model, and how long its answers took."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from modelserve.cli import bench_view, client
from modelserve.cli.output import AsJson, console, emit, errors
from modelserve.domain.quantities import parse_duration, parse_percent
from modelserve.errors import InvalidInput, ModelServeError

LIMIT_BROKEN = 6
"""Exit code when a limit does not hold."""
Spoken = Literal["oip", "binary", "v1", "task"]
CLOSED_CLIENTS, OPEN_CLIENTS = 8, 128


def register(app: typer.Typer) -> None:
    app.command(
        epilog='Example: modelserve bench bert-ner --text "Ada Lovelace met Charles Babbage" --rate 100'
        " --max-p99 50ms --max-error-rate 0.1%"
    )(bench)


@dataclass(frozen=True, slots=True)
class Given:
    """What the requests carry, as the options say it."""

    text: str | None
    image: Path | None
    tensors: Path | None
    samples: Path | None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.text, self.image, self.tensors, self.samples)) > 1:
            raise InvalidInput("give at most one of --text, --image, --json-file and --samples")

    def read(self) -> list[Any] | None:
        """The samples; None: they have to be made up."""
        from modelserve.loadtest import payloads

        if self.text is not None:
            return [self.text]
        if self.image is not None:
            return [_bytes(self.image, "--image")]
        if self.tensors is not None:
            return [payloads.sample(_bytes(self.tensors, "--json-file"))]
        if self.samples is not None:
            text = _bytes(self.samples, "--samples").decode("utf-8", "replace")
            return payloads.samples(text, str(self.samples))
        return None


def bench(
    target: Annotated[str, typer.Argument(help="A service's name, or the URL of a model's route.")],
    clients: Annotated[
        int | None,
        typer.Option(min=1, help="Connections (8; with --rate at most 128 requests at the same time)."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests per second, whether or not earlier ones were answered.")
    ] = None,
    arrivals: Annotated[
        Literal["poisson", "constant"], typer.Option(help="How requests at a --rate are spaced.")
    ] = "poisson",
    duration: Annotated[str, typer.Option(help="Time that counts.")] = "10s",
    warm_up: Annotated[str, typer.Option(help="Time before, with load that does not count.")] = "1s",
    timeout: Annotated[str, typer.Option(help="Time after which a request has failed.")] = "30s",
    processes: Annotated[int, typer.Option(min=1, help="Processes that make the load.")] = 1,
    protocol: Annotated[
        Spoken | None,
        typer.Option(help="How to ask: task for texts and images, oip for tensors, unless told otherwise."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Text to send.")] = None,
    image: Annotated[Path | None, typer.Option(help="PNG, JPEG or WebP to send.")] = None,
    tensors: Annotated[
        Path | None, typer.Option("--json-file", help="An Open Inference Protocol v2 request to send.")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help='Lines of {"text": ...}, {"image": "<base64>"} or {"inputs": [...]}, in turn.'),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Ask this revision, whatever the weights.")] = None,
    door: Annotated[str | None, typer.Option(help="URL of another front door than this machine's.")] = None,
    max_p99: Annotated[str | None, typer.Option(help="Leave with code 6 if p99 is above: 50ms.")] = None,
    max_error_rate: Annotated[
        str | None, typer.Option(help="Leave with code 6 if a greater share fails: 0.1%.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the results here as JSON.")] = None,
    compare: Annotated[Path | None, typer.Option(help="Show the change against earlier results.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw latency by percentile: out.png.")] = None,
    seed: Annotated[int, typer.Option(help="Of random arrivals and tensors.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Load a model and tell how long its answers took.

    With --rate requests leave when they are due, and latency counts from then: a server that stalls cannot
    hide what waited behind it. Without, each of the clients asks again when it has its answer. Without a
    payload, tensors are made up from the model's metadata.
    """
    from modelserve.loadtest import crew, report  # numpy and more: only this command pays for it
    from modelserve.loadtest import plot as plots
    from modelserve.loadtest.plans import Plan

    given = Given(text, image, tensors, samples)
    p99 = None if max_p99 is None else _parsed(max_p99, "--max-p99", parse_duration)
    error_rate = (
        None if max_error_rate is None else _parsed(max_error_rate, "--max-error-rate", parse_percent)
    )
    before = None if compare is None else _before(compare)
    url, requests, address = _asked(target, door, protocol, given, revision, seed)
    plan = Plan(
        host=address[0],
        port=address[1],
        requests=tuple(requests),
        tls=url.startswith("https"),
        clients=clients or (CLOSED_CLIENTS if rate is None else OPEN_CLIENTS),
        rate=rate,
        arrivals=arrivals,
        duration=_parsed(duration, "--duration", parse_duration),
        warm_up=_parsed(warm_up, "--warm-up", parse_duration),
        timeout=_parsed(timeout, "--timeout", parse_duration),
        seed=seed,
    )
    with bench_view.progress(plan, processes, url) as told:
        found = report.Report(plan, crew.load(plan, processes, told), url)
    emit(found.as_json()) if as_json else console.print(bench_view.page(found, before))
    if output is not None:
        _write(output, found.as_json())
    if plot is not None:
        plots.draw(found, plot)
    broken = found.broken_limits(p99, error_rate)
    for sentence in broken:
        errors.print(f"[bold red]limit broken:[/] {sentence}")
    if broken:
        raise typer.Exit(LIMIT_BROKEN)


def _asked(
    named: str, door: str | None, protocol: Spoken | None, given: Given, revision: str | None, seed: int
) -> tuple[str, list[bytes], tuple[str, int]]:
    """The URL, the requests as bytes, and the address to send them to."""
    from modelserve.client import Client
    from modelserve.loadtest import payloads, targets, wire

    found = given.read()
    if "://" in named and door is not None:
        raise InvalidInput("door: a URL as target names its own; give --door with a service's name")
    if "://" in named:
        target = targets.of_url(named, protocol)
    else:
        fitting: Spoken = "oip" if found is None or isinstance(found[0], dict) else "task"
        target = targets.of_service(door or client.about()["door"], named, protocol or fitting)
    if found is None:
        with Client(target.door) as asking:
            found = [payloads.generated(asking.metadata(target.model, revision=revision).inputs, seed)]
    host = target.url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    extra = {"x-modelserve-revision": revision} if revision else {}
    sent = [payloads.payload(each, target.protocol) for each in found]
    requests = [wire.request(host, target.path, {**each.headers, **extra}, each.body) for each in sent]
    return target.url, requests, target.address


def _bytes(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{option}: got {str(path)!r}: {error.strerror}") from None


def _parsed(value: str, option: str, parse: Callable[[object], float]) -> float:
    try:
        return parse(value)
    except ValueError as error:
        raise InvalidInput(f"{option}: got {value!r}; {error}") from None


def _before(path: Path) -> dict[str, Any]:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = json.loads(_bytes(path, "--compare"))
        return {"throughput": found["throughput"], "latency_ms": dict(found["latency_ms"])}
    raise InvalidInput(f"--compare: {path} does not hold the results of an earlier bench --output")


def _write(path: Path, results: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise ModelServeError(f"--output: got {str(path)!r}: {error.strerror}") from None
