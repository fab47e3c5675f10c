"""Helpers that keep the OpenAPI document truthful."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from modelserve.protocol import binary, multipart
from modelserve.protocol.tasks import IMAGES
from modelserve.serving.schemas import BODIES, Fault

_REF = "#/components/schemas/{model}"


def faults_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route: each status with the shape of a fault."""
    return {status: {"model": Fault, "description": HTTPStatus(status).phrase} for status in statuses}


_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "additionalProperties": _BYTES["schema"]}}
_OCTETS = {binary.CONTENT_TYPE.decode(): _BYTES}
_JSON_LENGTH = {
    "name": binary.HEADER,
    "in": "header",
    "description": "Bytes of the JSON, where tensors follow it as bytes.",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}


def json_faults_of(*statuses: int | str) -> dict[int | str, dict[str, Any]]:
    """The same for a route whose answers are no JSON where nothing fails."""
    content = {"application/json": {"schema": {"$ref": _REF.format(model=Fault.__name__)}}}
    return {
        status: {"content": content, "description": HTTPStatus(int(status)).phrase} for status in statuses
    }


def body_of(*models: type[BaseModel], uploads: bool = False, required: bool = True) -> dict[str, Any]:
    """``openapi_extra`` of a route that takes one of these models as JSON; with ``uploads`` also an encoded
    image, or a form of files and texts."""
    refs = [{"$ref": _REF.format(model=model.__name__)} for model in models]
    content: dict[str, Any] = {"application/json": {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}}}
    if uploads:
        content |= {**dict.fromkeys(IMAGES, _BYTES), multipart.CONTENT_TYPE: _FORM}
    return {"requestBody": {"required": required, "content": content}}


def tensors_of(model: type[BaseModel]) -> dict[str, Any]:
    """The same of a route whose tensors may follow the JSON as bytes, in its answers too."""
    extra = body_of(model)
    extra["requestBody"]["content"] |= _OCTETS
    return extra | {"parameters": [_JSON_LENGTH], "responses": {"200": {"content": _OCTETS}}}


def truthful(api: FastAPI) -> None:
    """Make the document say what the routes do: bodies' models are in it, and no 422, which none gives."""
    original = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = original()
            _, schemas = models_json_schema([(m, "validation") for m in BODIES], ref_template=_REF)
            document["components"]["schemas"] |= schemas["$defs"]
            _drop_422(document)
        return original()

    api.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to change the document


def _drop_422(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
