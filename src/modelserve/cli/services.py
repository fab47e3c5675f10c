"""apply, deploy, delete, predict: model services."""

from __future__ import annotations

import json
import mimetypes
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from modelserve.cli import client
from modelserve.cli.output import AsJson, console, emit, errors, say, table
from modelserve.domain.experiments import Arm, Experiment
from modelserve.domain.services import ModelService
from modelserve.errors import InvalidInput, InvalidSpec
from modelserve.manifest import parse_any

NameArgument = Annotated[str, typer.Argument(help="Name of the service.")]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: modelserve apply -f examples/ner.yaml")(apply)
    app.command(epilog="Example: modelserve deploy bert-ner --model ./models/bert-ner-2")(deploy)
    app.command(epilog="Example: modelserve delete bert-ner")(delete)
    app.command(
        epilog='Example: modelserve predict bert-ner --text "Ada Lovelace met Charles Babbage in London"'
    )(predict)


def apply(
    file: Annotated[Path, typer.Option("-f", "--file", help="Spec file; - for standard input.")],
    as_json: AsJson = False,
) -> None:
    """Create or change services (a changed model starts a rollout by itself), begin experiments."""
    text, source, folder = _read(file)
    answers = [_apply(spec, folder) for spec in parse_any(text, source)]
    if as_json:
        emit(answers)
    else:
        for answer in answers:
            say(answer["message"])


def deploy(
    name: NameArgument,
    model: Annotated[
        str, typer.Option("--model", help="Folder of a package, one model file, or a model URI.")
    ],
    as_json: AsJson = False,
) -> None:
    """Give a service a new model, or create it, without a file. Everything else stays as it is."""
    document = _current(name)
    document["spec"]["model"] = document["spec"]["model"] | {
        "uri": absolute(model, Path.cwd()),
        "digest": None,
    }
    answer = _put(name, _normal(document))
    emit(answer) if as_json else say(answer["message"])


def delete(name: NameArgument, as_json: AsJson = False) -> None:
    """Stop and forget a service; its artefacts stay in the store."""
    answer = client.control("DELETE", client.service_path(name))
    emit(answer) if as_json else say(answer["message"])


def predict(
    name: NameArgument,
    text: Annotated[str | None, typer.Option("--text", help="Text for a text model.")] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="PNG, JPEG or WebP for an image model.")
    ] = None,
    tensors: Annotated[
        Path | None, typer.Option("--json-file", help="An Open Inference Protocol v2 request; - for stdin.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Ask this revision, whatever the weights.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model through the front door."""
    if sum(value is not None for value in (text, image, tensors)) != 1:
        raise InvalidInput("give exactly one of --text, --image or --json-file")
    headers = {"x-modelserve-revision": revision} if revision else {}
    if tensors is not None:
        body, _, _ = _read(tensors)
        answer = client.door(
            f"/v2/models/{quote(name, safe='')}/infer",
            content=body.encode(),
            headers=headers | {"content-type": "application/json"},
        )
        emit(answer.json())
        return
    content, media = _question(text, image)
    answer = client.door(
        f"/predict/{quote(name, safe='')}", content=content, headers=headers | {"content-type": media}
    )
    emit(answer.json()) if as_json else _show(answer.json())


def _question(text: str | None, image: Path | None) -> tuple[bytes, str]:
    if image is None:
        return json.dumps({"text": text}).encode(), "application/json"
    media = mimetypes.guess_type(image.name)[0] or "application/octet-stream"
    try:
        return image.read_bytes(), media
    except OSError as error:
        raise InvalidInput(f"--image: got {str(image)!r}: {error.strerror}") from None


def _show(answer: dict[str, Any]) -> None:
    if "entities" in answer:
        spans = [
            (e["label"], e["text"], f"{e['score']:.3f}", f"{e['start']}–{e['end']}")
            for e in answer["entities"]
        ]
        console.print(table(("LABEL", "TEXT", "SCORE", "SPAN"), spans) if spans else "no entities")
    else:
        labels = [(label["label"], f"{label['score']:.3f}") for label in answer["labels"]]
        console.print(table(("LABEL", "SCORE"), labels))
    say(f"answered by {answer['revision']}")


def _current(name: str) -> dict[str, Any]:
    try:
        spec: dict[str, Any] = client.control("GET", client.service_path(name))["spec"]
    except client.Refused as error:
        if "there is no service" not in error.message:
            raise
        spec = {"metadata": {"name": name}, "spec": {"model": {}}}
    return spec


def _normal(document: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "modelserve.ai/v1alpha1", "kind": "ModelService"} | document


def _put(name: str, document: dict[str, Any]) -> Any:
    return patiently("PUT", client.service_path(name), document)


def patiently(method: str, path: str, document: dict[str, Any]) -> Any:
    """Wait while a model is fetched, and say on stderr how far that is."""
    while True:
        try:
            return client.control(method, path, document)
        except client.Refused as error:
            if error.kind != "fetching":
                raise
            errors.print(escape(error.message.partition("; ")[0]))


def _apply(spec: ModelService | Experiment, folder: Path) -> Any:
    if isinstance(spec, Experiment):
        arms = tuple(_arm(arm, folder) for arm in spec.spec.arms)
        spec = spec.model_copy(update={"spec": spec.spec.model_copy(update={"arms": arms})})
        return patiently(
            "PUT", client.experiment_path(spec.name), spec.model_dump(mode="json", by_alias=True)
        )
    return _put(spec.name, _resolved(spec, folder).model_dump(mode="json", by_alias=True))


def _arm(arm: Arm, folder: Path) -> Arm:
    if arm.model is None:
        return arm
    model = arm.model.model_copy(update={"uri": absolute(arm.model.uri, folder)})
    return arm.model_copy(update={"model": model})


def _resolved(spec: ModelService, folder: Path) -> ModelService:
    """The same spec with a path that means the same to the controller, which runs in another folder."""
    model = spec.spec.model.model_copy(update={"uri": absolute(spec.spec.model.uri, folder)})
    return spec.model_copy(update={"spec": spec.spec.model_copy(update={"model": model})})


def absolute(uri: str, folder: Path) -> str:
    """A path, taken from ``folder``, as one that means the same everywhere; any other URI as it is."""
    if "://" in uri or uri.startswith("models:"):
        return uri
    return (folder / _expanded(uri)).resolve().as_posix()


def _expanded(uri: str) -> Path:
    try:
        return Path(uri).expanduser()
    except RuntimeError as error:
        raise InvalidSpec(f"spec.model.uri: got {uri!r}: {error}") from None


def _read(file: Path) -> tuple[str, str, Path]:
    """Text, a name for messages, and the folder that relative paths start from."""
    if str(file) == "-" and sys.stdin is not None:
        return sys.stdin.read().removeprefix("\ufeff"), "<stdin>", Path.cwd()
    try:
        return file.read_text(encoding="utf-8-sig"), str(file), file.parent
    except OSError as error:
        raise InvalidSpec(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"{file}: not UTF-8 text: byte {error.start}") from None
