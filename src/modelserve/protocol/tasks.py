"""The task route: a text or an image in, entities or labels out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from modelserve.domain.inference import Entity, InferenceResponse, Label
from modelserve.domain.models import Task
from modelserve.errors import InvalidInput, ModelFailed, PayloadTooLarge, UnsupportedMedia
from modelserve.protocol import arrays, multipart, parting, values
from modelserve.protocol.payload import Payload

_BYTES = ("application/octet-stream", "binary/octet-stream")
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/*", *_BYTES)
"""Content types read as an image. Its bytes tell what it is: clients say ``image/jpg`` or ``image/x-png``."""
UNTOLD = ("", "application/x-www-form-urlencoded")
"""What stands for a content type where a client does not choose one; the last is curl's for any body."""
JSON = ("application/json", *UNTOLD)
"""Content types read as JSON, unless the body shows that it is an image."""
_BEGINNINGS = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)
"""Of PNG, JPEG and WebP; no JSON begins so."""

_FIELDS = {Task.TOKEN_CLASSIFICATION: ("text", "texts"), Task.IMAGE_CLASSIFICATION: ("image", "images")}
_EXAMPLES = {
    Task.TOKEN_CLASSIFICATION: '{"text": "..."} or {"texts": ["...", "..."]}',
    Task.IMAGE_CLASSIFICATION: 'a PNG, JPEG or WebP body, or {"image": {"b64": "..."}}',
}


@dataclass(frozen=True, slots=True)
class TaskCall:
    """The items that a client asks about; ``several`` when it sent a list, and gets one."""

    items: tuple[str | bytes, ...]
    several: bool = False


def media_type(content_type: str) -> str:
    """``"Application/JSON; charset=utf-8"`` -> ``"application/json"``."""
    return content_type.partition(";")[0].strip().lower()


def require_json(content_type: str, *others: str) -> None:
    """Raise UnsupportedMedia unless the body is to be read as JSON, or is of another type that is taken."""
    if content_type == "application/json":
        return
    if (kind := media_type(content_type)) not in (*JSON, *others) and not kind.endswith("+json"):
        raise UnsupportedMedia(f"content-type: got {values.shown(kind)}; send application/json")


def decode(body: bytes, content_type: str, task: Task, max_items: int) -> TaskCall:
    """What a client asks a task model. Raises InvalidInput, PayloadTooLarge or UnsupportedMedia."""
    if task not in _FIELDS:
        raise InvalidInput("this model takes tensors; ask it at /v2/models/{name}/infer")
    kind = media_type(content_type)
    if kind == multipart.CONTENT_TYPE:
        return _from_parts(multipart.parts(body, content_type, max_items), task)
    if task is Task.IMAGE_CLASSIFICATION and _is_image(body, kind):
        return TaskCall((body,))
    if kind not in JSON and not kind.endswith("+json"):
        raise UnsupportedMedia(f"content-type: got {values.shown(kind)}; send {_EXAMPLES[task]}")
    return _from_json(_parsed(body, kind, task), task, max_items)


def _is_image(body: bytes, kind: str) -> bool:
    """Whether the content type says so, or, where a client chose none, the first bytes do."""
    told = kind.startswith("image/") or kind in IMAGES
    return told or (kind in UNTOLD and _BEGINNINGS.match(body) is not None)


def _parsed(body: bytes, kind: str, task: Task) -> dict[str, Any]:
    """The body as JSON. Raises InvalidInput, with how to send an image where it may be meant as one."""
    try:
        return values.parse(body)
    except InvalidInput as error:
        if task is not Task.IMAGE_CLASSIFICATION or kind not in UNTOLD:
            raise
        hint = "an image is sent as it is (`curl --data-binary`), with its content-type, such as image/png"
        raise InvalidInput(f"{error.message}; {hint}") from None


def _from_parts(parts: list[multipart.Part], task: Task) -> TaskCall:
    """One item for each part. A file may have any name; a field says by its own what it holds."""
    one, many = _FIELDS[task]
    names = (one, many, "file", "files")
    for index, part in enumerate(parts):
        if part.filename is None and part.name not in names:
            raise values.got(f"part {index}", part.name, f"name it one of {values.listing(names)}")
    items = tuple(_part(part, task, f"part {index}") for index, part in enumerate(parts))
    return TaskCall(items, len(parts) > 1 or parts[0].name in (many, "files"))


def _part(part: multipart.Part, task: Task, place: str) -> str | bytes:
    if task is Task.IMAGE_CLASSIFICATION:
        return part.content
    return parting.text(part.content, part.charset, place)


def _from_json(fields: dict[str, Any], task: Task, max_items: int) -> TaskCall:
    one, many = _FIELDS[task]
    if set(fields) == {one}:
        return TaskCall((_item(fields[one], task, one),))
    if set(fields) != {many}:
        raise values.got("body", fields, f"this model takes {_EXAMPLES[task]}")
    entries = values.items(fields[many], many)
    if len(entries) > max_items:
        raise PayloadTooLarge(f"{many}: got {len(entries)}; at most {max_items} fit in one request")
    return TaskCall(tuple(_item(entry, task, f"{many}[{i}]") for i, entry in enumerate(entries)), True)


def _item(value: object, task: Task, place: str) -> str | bytes:
    return values.text(value, place) if task is Task.TOKEN_CLASSIFICATION else values.b64(value, place)


def encode(response: InferenceResponse, call: TaskCall) -> Payload:
    """``{"model", "revision", "entities" | "labels"}``, or ``"results"`` for a list.

    Raises ModelFailed for a score that JSON cannot say.
    """
    body: dict[str, Any] = {"model": response.model, "revision": response.revision}
    answers = response.answers or ()
    if call.several:
        body["results"] = [answer_json(answer) for answer in answers]
    else:
        body[_answer_field(answers[0], call.items[0])] = answer_json(answers[0])
    return Payload(arrays.dump(body))


def _answer_field(answer: tuple[Entity, ...] | tuple[Label, ...], item: str | bytes) -> str:
    if answer:
        return "entities" if isinstance(answer[0], Entity) else "labels"
    return "entities" if isinstance(item, str) else "labels"


def answer_json(answer: tuple[Entity, ...] | tuple[Label, ...]) -> list[dict[str, Any]]:
    """One item's answer as JSON values. Raises ModelFailed for a score that is no number."""
    if not all(math.isfinite(part.score) for part in answer):
        raise ModelFailed("score: the model gave NaN or infinity, which JSON cannot say")
    return [{name: getattr(part, name) for name in part.__slots__} for part in answer]
