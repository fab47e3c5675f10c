"""up, down, status, logs: the platform itself."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import pydantic
import typer
from rich.markup import escape

from modelserve._kit.locks import Lock, LockHeld
from modelserve.cli import client
from modelserve.cli.output import AsJson, console, counts, emit, say, share, table
from modelserve.errors import InvalidInput, NotFound, Unavailable
from modelserve.settings import Home, PlatformSettings, default_home

START_TIMEOUT = 30.0
STOP_TIMEOUT = 60.0


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: modelserve up --port 8080")(up)
    app.command(epilog="Example: modelserve down")(down)
    app.command(epilog="Example: modelserve status --json")(status)
    app.command(epilog="Example: modelserve logs bert-ner --follow")(logs)


def up(
    port: Annotated[int | None, typer.Option(help="Port of the front door (8080).")] = None,
    host: Annotated[str | None, typer.Option(help="Address of the front door (127.0.0.1).")] = None,
    records: Annotated[str | None, typer.Option(help="sqlite:///path or postgresql://... .")] = None,
    tick: Annotated[float | None, typer.Option(help="Seconds between two looks (0.5).")] = None,
    allow_code: Annotated[
        bool | None, typer.Option("--allow-code", help="Run the code of packages that come with their own.")
    ] = None,
    allow_pickle: Annotated[
        bool | None, typer.Option("--allow-pickle", help="Load pickles of scikit-learn, which run code.")
    ] = None,
    foreground: Annotated[bool, typer.Option(help="Stay, and stop on Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the platform on this machine: one front door on loopback, and the controller behind it.

    What an earlier controller left running is taken over without a restart.
    """
    settings = _settings(
        port=port,
        host=host,
        records_url=records,
        tick=tick,
        allow_code=allow_code,
        allow_pickle=allow_pickle,
    )
    if foreground:
        from modelserve.control.local import serve  # heavy: only the commands that need it pay for it

        asyncio.run(serve(settings, asyncio.Event()))
        return
    _start(settings)
    found = client.about()
    if as_json:
        emit(found)
    else:
        console.print(
            f"[green]ModelServe is up[/]: {found['door']}  (pid {found['pid']}, home {settings.home})"
        )


def _settings(**given: Any) -> PlatformSettings:
    try:
        return PlatformSettings.from_environment(**given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{field}: got {first['input']!r}: {first['msg']}") from None


def _start(settings: PlatformSettings) -> None:
    home = Home(settings.home)
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Told on stdin: everybody may read a command line, and the records' URL may hold a password.
    command = [sys.executable, "-m", "modelserve.control"]
    pipe = subprocess.PIPE
    with home.log.open("ab") as log:
        home.log.chmod(0o600)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=pipe, stdout=pipe, stderr=log, start_new_session=True, cwd=home.path
        )
    assert process.stdin is not None  # noqa: S101 - opened with PIPE
    with process.stdin as told:
        told.write(settings.model_dump_json().encode())
    report = _first_line(process)
    if "error" in report:
        process.wait(STOP_TIMEOUT)
        raise Unavailable(str(report["error"]))
    if "ready" not in report:
        raise Unavailable(f"the controller did not start; its log is {home.log}")


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the controller reports of its start; empty if it says nothing in time."""
    assert process.stdout is not None  # noqa: S101 - opened with PIPE
    readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT)
    line = process.stdout.readline() if readable else b""
    process.stdout.close()
    report: dict[str, Any] = json.loads(line) if line.strip() else {}
    return report


def down(as_json: AsJson = False) -> None:
    """Stop everything: front door, model servers, controller. Records and artefacts stay."""
    settings = _settings()
    home = Home(settings.home)
    stopped = _stop_controller(home)
    if home.path.exists():
        from modelserve.control.local import sweep  # heavy, as above

        asyncio.run(sweep(home, settings))
    message = "ModelServe is down" if stopped else "no controller ran; what was left is stopped"
    if as_json:
        emit({"message": message, "controller_ran": stopped})
    else:
        say(message)


def _stop_controller(home: Home) -> bool:
    """Whether a controller ran; returns when it is gone.

    Only who holds the lock is the controller: a number in a file may by now be somebody else's.
    """
    pid = _holder(home)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while _holder(home) == pid:
        if time.monotonic() > deadline:
            raise Unavailable(f"the controller (pid {pid}) does not stop; end it with: kill -9 {pid}")
        time.sleep(0.05)
    return True


def _holder(home: Home) -> int | None:
    """Process id of the running controller, if there is one."""
    if not home.lock.exists():
        return None
    try:
        with Lock(home.lock):
            return None
    except LockHeld as held:
        if held.pid is None:
            raise Unavailable("a controller is just starting; try again") from None
        return held.pid


def status(as_json: AsJson = False) -> None:
    """Services, their revisions, replicas and rollouts."""
    found = client.control("GET", "/api/v1/status")
    if as_json:
        emit(found | client.about())
        return
    console.print(f"front door {client.about()['door']}   table in force: {_yes(found['in_force'])}")
    for where, trouble in found["troubles"].items():
        console.print(f"[yellow]{escape(where)}[/]: {escape(trouble)}")
    if not found["services"]:
        say("no services yet; create one with: modelserve deploy NAME --model ./folder")
        return
    columns = ("SERVICE", "STABLE", "ROLLOUT", "WEIGHT", "FAILED/REQUESTS", "REPLICAS")
    console.print(table(columns, [_row(service) for service in found["services"]]))
    for service in found["services"]:
        if service["experiment"]:
            say(f"{service['name']} takes part in the experiment {service['experiment']}")
        for remark in _remarks(service):
            say(remark)


def _remarks(service: dict[str, Any]) -> list[str]:
    """What model servers say of their revisions, each once however many replicas say it."""
    told = (f"{each['revision']}: {remark}" for each in service["replicas"] for remark in each["remarks"])
    return list(dict.fromkeys(told))


def _yes(value: bool) -> str:
    return "[green]yes[/]" if value else "[red]no[/]"


def _row(service: dict[str, Any]) -> tuple[str, ...]:
    rollout = service["rollout"]
    replicas = ", ".join(f"{r['revision']} {r['phase']}" for r in service["replicas"]) or "none"
    if rollout is None:
        return service["name"], service["stable"] or "–", "–", "–", "–", replicas
    return (
        service["name"],
        service["stable"] or "–",
        f"{rollout['candidate']} {rollout['phase']}",
        share(rollout["weight"]),
        counts(rollout["totals"], "candidate"),
        replicas,
    )


def logs(
    name: Annotated[str, typer.Argument(help="A service or revision, or: controller, envoy, access.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on printing what is added.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show logs of a service's servers, of the controller, or of the front door."""
    files = _log_files(Home(default_home()), name)
    if as_json:
        emit([{"file": str(f), "lines": _tail(f, lines)} for f in files])
        return
    for file in files:
        for line in _tail(file, lines):
            typer.echo(line)
    if follow:
        _follow(files)


def _log_files(home: Home, name: str) -> list[Path]:
    fixed = {"controller": [home.log], "envoy": sorted(home.envoy.glob("envoy*.log"))}
    fixed["access"] = sorted(home.envoy.glob("access*.log"))
    files = fixed.get(name)
    if files is None:
        folders = [f for f in sorted(home.servers.glob("*")) if f.name in _revisions(name)]
        files = [log for folder in folders for log in sorted(folder.rglob("*.log"))]
    if not files:
        raise NotFound(
            f"no logs of {name!r} in {home.path}; try a service's name, controller, envoy or access"
        )
    return files


def _revisions(name: str) -> set[str]:
    """The revisions of a service, or the one that is named itself."""
    try:
        found = client.control("GET", client.service_path(name) + "/revisions")
    except (client.Refused, client.NotRunning):
        return {name}
    return {revision["revision"] for revision in found}


def _tail(file: Path, lines: int) -> list[str]:
    return file.read_text(errors="replace").splitlines()[-lines:] if lines else []


def _follow(files: list[Path]) -> None:
    streams = [file.open(errors="replace") for file in files]
    for stream in streams:
        stream.seek(0, os.SEEK_END)
    while True:
        for line in [line for stream in streams for line in stream]:
            typer.echo(line.rstrip("\n"))
        time.sleep(0.2)
