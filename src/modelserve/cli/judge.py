"""judge serve: the judge alone, for deployers that split traffic by themselves."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelserve.cli.output import AsJson, console, say
from modelserve.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from fastapi import FastAPI

group = typer.Typer(
    help="The judge as a service of its own.",
    epilog="Example: modelserve judge serve --prometheus http://127.0.0.1:9090",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="judge")


@group.command(epilog="Example: modelserve judge serve --prometheus http://127.0.0.1:9090")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8090,
    prometheus: Annotated[
        str, typer.Option(help="URL of the Prometheus that looks may query; none unless given.")
    ] = "",
    state: Annotated[
        Path | None, typer.Option(help="Folder in which judgements outlive a restart; none unless given.")
    ] = None,
    hostname: Annotated[
        list[str] | None,
        typer.Option(help="Name by which it is called, besides IP addresses and localhost. Repeat for more."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer Flagger, Argo Rollouts and scripts: is the candidate worse? Without a platform around it.

    It asks nobody who is calling: on loopback unless told otherwise. Ctrl-C stops it.
    """
    import uvicorn

    if prometheus and not prometheus.startswith(("http://", "https://")):
        raise InvalidInput(f"--prometheus: got {prometheus!r}; write a URL such as http://127.0.0.1:9090")
    app = _app(prometheus, state, tuple(hostname or ()))
    with _listen(host, port) as listener:
        _tell(host, listener.getsockname()[1], as_json)
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None, lifespan="off"))
        server.run(sockets=[listener])


def _app(prometheus: str, state: Path | None, hostnames: tuple[str, ...]) -> FastAPI:
    from modelserve.control.judging.alone import create_app

    return create_app(prometheus, state, hostnames)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise Unavailable(
            f"can't listen on {host}:{port}: {error}; choose another --host or --port"
        ) from None


def _tell(host: str, port: int, as_json: bool) -> None:
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if as_json:
        typer.echo(json.dumps({"url": url}))
        return
    console.print(f"[green]Judging[/] at {url}/api/v1/judge. Try:\n")
    counts = json.dumps({"stable": {"n": 900, "bad": 1}, "candidate": {"n": 100, "bad": 30}})
    say(f"  curl {url}/api/v1/judge -d '{counts}'\n\nCtrl-C stops it.")
