"""Questions as HTTP requests."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from modelserve.client import images, tensors
from modelserve.client.images import Image
from modelserve.client.messages import Call
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays

JSON = {"content-type": "application/json"}


def _named(model: str) -> str:
    if not isinstance(model, str) or not model:
        raise InvalidInput(f"model: got {model!r}; give the name of a service")
    return quote(model, safe="")


def infer(model: str, inputs: Mapping[str, Any], outputs: Sequence[str], *, as_bytes: bool) -> Call:
    """Tensors in, tensors out. Raises InvalidInput."""
    if not inputs:
        raise InvalidInput('inputs: there are none; give {"name": array}')
    body, headers = tensors.encode(inputs, outputs, as_bytes=as_bytes)
    return Call("POST", f"/v2/models/{_named(model)}/infer", headers, body)


@dataclass(frozen=True, slots=True)
class Question:
    """What a task model is asked about: exactly one of these."""

    text: str | None = None
    texts: Sequence[str] | None = None
    image: Image | None = None
    images: Sequence[Image] | None = None


def predict(model: str, question: Question) -> Call:
    """Texts or images in, entities or labels out. Raises InvalidInput."""
    given = (question.text, question.texts, question.image, question.images)
    if sum(value is not None for value in given) != 1:
        raise InvalidInput("predict: give exactly one of text, texts, image or images")
    path = f"/predict/{_named(model)}"
    if question.image is not None:
        content = images.encoded(question.image)
        return Call("POST", path, {"content-type": images.media_type(content)}, content)
    if question.images is not None:
        return Call("POST", path, JSON, arrays.dump(_images(question.images)))
    return Call("POST", path, JSON, arrays.dump(_texts(question.text, question.texts)))


def _texts(text: str | None, texts: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(texts, str):
        raise InvalidInput("texts: got one string; give a list of them, or text=")
    for each in (text,) if texts is None else texts:
        _check(each)
    return {"text": text} if texts is None else {"texts": list(texts)}


def _check(text: object) -> None:
    if not isinstance(text, str):
        raise InvalidInput(f"text: got {type(text).__name__}; give a string")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"text: character {error.start} is half a surrogate pair, no text") from None


def _images(given: Sequence[Image]) -> dict[str, Any]:
    return {"images": [{"b64": base64.b64encode(images.encoded(each)).decode()} for each in given]}


def server_metadata() -> Call:
    return Call("GET", "/v2")


def model_metadata(model: str) -> Call:
    return Call("GET", f"/v2/models/{_named(model)}")


def live() -> Call:
    return Call("GET", "/v2/health/live")


def ready(model: str | None) -> Call:
    return Call("GET", "/v2/health/ready" if model is None else f"/v2/models/{_named(model)}/ready")
