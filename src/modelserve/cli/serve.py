"""serve: one model server in the foreground, without a platform around it."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from modelserve.cli.output import AsJson, console, say
from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import ModelPackage, Task
from modelserve.domain.quantities import parse_bytes
from modelserve.domain.services import BatchingMode
from modelserve.errors import InvalidInput, InvalidPackage, ModelServeError, Unavailable
from modelserve.settings import ServerSettings

if TYPE_CHECKING:
    from modelserve.serving.catalogue import RepositoryFolder

REVISION = "1"
"""What a model without versions is called, as in a repository."""
READABLE = 500
"""Characters of a body up to which people can read it."""


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: modelserve serve ./models/bert-ner-2")(serve)


def serve(
    path: Annotated[Path, typer.Argument(help="A model package, or a folder with many.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for HTTP; 0: any free one.")] = 8000,
    grpc_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port for gRPC; none unless given.")
    ] = None,
    memory_budget: Annotated[
        str | None, typer.Option(help="What the models of a folder may take together, such as 2Gi.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of a single model; else the file's or folder's.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Batches at the same time; 0: as many as cores.")] = 0,
    batching: Annotated[
        BatchingMode,
        typer.Option(help="Which requests share a run: as found out, none, or all: rows are independent."),
    ] = BatchingMode.AUTO,
    skip_warm_up: Annotated[
        bool, typer.Option("--skip-warm-up", help="Serve without a run on made-up inputs before.")
    ] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run code that packages come with.")
    ] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load pickles, which run code.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve models in the foreground, without a platform: one package, or a folder with many.

    The models of a folder are loaded when they are first asked for. Ctrl-C finishes what is being answered,
    a second one does not wait for it.
    """
    from modelserve.serving.environment import prepare

    prepare()
    where, names = _where(path.absolute(), name, memory_budget)
    given = {"host": host, "port": port, "grpc_port": grpc_port, "threads": threads}
    given |= {"batching": batching.setting, "warm_up": not skip_warm_up}
    allowed = {"allow_code": allow_code, "allow_pickle": allow_pickle}
    settings = ServerSettings.model_validate({"revision": REVISION, **where, **given, **allowed})

    def ready(place: Mapping[str, Any]) -> None:
        _tell(settings, names, place, as_json)

    _run(settings, ready)


def _where(path: Path, name: str | None, budget: str | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Settings that say what is served, and the models' names. Raises InvalidInput, InvalidPackage."""
    from modelserve.packages import is_package
    from modelserve.serving.catalogue import RepositoryFolder

    if not path.exists():
        raise InvalidPackage(f"{path}: there is no such file or folder")
    if is_package(path):
        if budget is not None:
            raise InvalidInput("--memory-budget: is for a folder of models; this is one package")
        called = name or (path.stem if path.is_file() else path.name)
        return {"service": called, "package": path}, (called,)
    if name is not None:
        raise InvalidInput("--name: is for one package; the models of a folder are called as they are there")
    folder = RepositoryFolder(path)
    names = tuple(each for each in folder.names() if _is_model(folder, each))
    if not names or all(each.isdigit() for each in names):
        raise InvalidPackage(f"{path}: {_no_repository(path, names)}")
    bound = None if budget is None else _bytes(budget)
    return {"service": "modelserve", "repository": path, "memory_budget": bound}, names


def _is_model(folder: RepositoryFolder, name: str) -> bool:
    """One that can't be read is one, too: calls for it are told why, and the others are served."""
    from modelserve.packages import is_package

    try:
        return is_package(folder.resolve(name, None)[1])
    except (Unavailable, OSError):
        return True


def _no_repository(path: Path, names: tuple[str, ...]) -> str:
    if names:
        return f"holds the versions of one model; give the folder above it, {path.parent}"
    return (
        "neither a model package nor a folder with any: give a folder with a folder or .onnx file per model"
    )


def _bytes(budget: str) -> int:
    try:
        return parse_bytes(budget)
    except ValueError as error:
        raise InvalidInput(f"--memory-budget: got {budget!r}; {error}") from None


def _run(settings: ServerSettings, ready: Any) -> None:
    from modelserve.serving.logs import EventLog
    from modelserve.serving.main import run

    try:
        code = run(settings, EventLog(service=settings.service), ready)
    except OSError as error:
        raise Unavailable(f"can't listen: {error}; choose another with --port or --grpc-port") from None
    if code:
        raise ModelServeError("the server could not go on; the line above says why")


# What people see.


def _tell(settings: ServerSettings, names: tuple[str, ...], place: Mapping[str, Any], as_json: bool) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{place['port']}"
    grpc = None if settings.grpc_port is None else f"{host}:{place['grpc_port']}"
    if as_json:
        typer.echo(json.dumps({"url": url, "grpc": grpc, "models": names}))
        return
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    console.print(f"[green]Serving[/] at {url}" + (f", gRPC at {grpc}" if grpc else ""), end=": ")
    say(f"{shown}. Try:\n\n  {_example(settings, names, url)}\n\nCtrl-C stops it.")


def _example(settings: ServerSettings, names: tuple[str, ...], url: str) -> str:
    """A command that asks the first whole model; its metadata where that can't be told from the files."""
    name, package = next(_packages(settings, names), (names[0], None))
    try:
        if package is not None:
            return _curl(package, quote(name, safe=""), url)
    except InvalidInput:
        pass
    return shlex.join(["curl", f"{url}/v2/models/{quote(name, safe='')}"])


def _packages(settings: ServerSettings, names: tuple[str, ...]) -> Iterator[tuple[str, ModelPackage]]:
    """Those that can be read."""
    from modelserve.packages import open_package
    from modelserve.serving.catalogue import RepositoryFolder

    path = settings.package
    for name in names:
        with contextlib.suppress(ModelServeError):
            if settings.repository is not None:
                _, path = RepositoryFolder(settings.repository).resolve(name, None)
            yield name, open_package(path)


def _curl(package: ModelPackage, name: str, url: str) -> str:
    if package.task is Task.IMAGE_CLASSIFICATION:
        told = ["-H", "content-type: image/png", "--data-binary", "@image.png"]
        return shlex.join(["curl", f"{url}/predict/{name}", *told])
    if package.task is Task.TOKEN_CLASSIFICATION:
        to, body = f"{url}/predict/{name}", json.dumps({"text": "Ada Lovelace met Charles Babbage in London"})
    else:
        inputs = [_tensor(spec) for spec in package.signature.inputs]
        to, body = f"{url}/v2/models/{name}/infer", json.dumps({"inputs": inputs})
    if len(body) > READABLE:
        raise InvalidInput("inputs: too large for an example")
    return shlex.join(["curl", to, "-H", "content-type: application/json", "-d", body])


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    """One row of nothing; an axis of any length has one element."""
    shape = [1 if length < 0 else length for length in spec.shape]
    zero: Any = {DataType.BOOL: False, DataType.BYTES: ""}.get(spec.datatype, 0)
    return {
        "name": spec.name,
        "shape": shape,
        "datatype": spec.datatype,
        "data": [zero] * min(math.prod(shape), READABLE),
    }
