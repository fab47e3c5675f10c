"""HTTP responses as results. Every function raises BadAnswer for what the protocol does not say."""

from __future__ import annotations

from typing import Any

import orjson

from modelserve.client import tensors
from modelserve.client.faults import SHOWN, BadAnswer
from modelserve.client.messages import REVISION_HEADER, Reply
from modelserve.client.results import (
    Answer,
    InferResult,
    ModelMetadata,
    Prediction,
    Predictions,
    ServerMetadata,
)
from modelserve.domain.inference import DataType, Entity, Label, TensorSpec
from modelserve.protocol import binary

Told = dict[str, Any]
"""What the exchange itself tells: ``request_id``, ``latency``, ``attempts``."""


def infer(reply: Reply, told: Told) -> InferResult:
    fields, outputs = tensors.decode(reply.body, reply.headers.get(binary.HEADER, ""))
    return InferResult(outputs=outputs, **_answered(reply, fields, "model_name", "model_version"), **told)


def predict(reply: Reply, told: Told) -> Prediction | Predictions:
    fields = _object(reply.body)
    who = _answered(reply, fields, "model", "revision")
    try:
        if "results" in fields:
            return Predictions(results=tuple(_answer(parts) for parts in fields["results"]), **who, **told)
        if "entities" in fields:
            return Prediction(entities=tuple(map(_entity, fields["entities"])), **who, **told)
        return Prediction(labels=tuple(map(_label, fields["labels"])), **who, **told)
    except (KeyError, TypeError) as error:
        raise BadAnswer(f"prediction: not as the task route says: {error!r}") from None


def _answer(parts: list[dict[str, Any]]) -> Answer:
    return tuple(map(_entity, parts)) if parts and "start" in parts[0] else tuple(map(_label, parts))


def _entity(part: dict[str, Any]) -> Entity:
    return Entity(part["text"], part["label"], part["score"], part["start"], part["end"])


def _label(part: dict[str, Any]) -> Label:
    return Label(part["label"], part["score"])


def server_metadata(reply: Reply) -> ServerMetadata:
    fields = _object(reply.body)
    extensions = fields.get("extensions") or ()
    return ServerMetadata(str(fields.get("name")), str(fields.get("version")), tuple(map(str, extensions)))


def model_metadata(reply: Reply) -> ModelMetadata:
    fields = _object(reply.body)
    try:
        return ModelMetadata(
            fields["name"],
            tuple(fields.get("versions") or ()),
            fields.get("platform", ""),
            tuple(map(_spec, fields["inputs"])),
            tuple(map(_spec, fields["outputs"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"metadata: not as the protocol says: {error!r}") from None


def _spec(tensor: dict[str, Any]) -> TensorSpec:
    return TensorSpec(tensor["name"], DataType(tensor["datatype"]), tuple(map(int, tensor["shape"])))


def _answered(reply: Reply, fields: dict[str, Any], model: str, revision: str) -> Told:
    named = reply.headers.get(REVISION_HEADER) or fields.get(revision, "")
    return {"model": str(fields.get(model, "")), "revision": str(named)}


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(f"the answer is not JSON: {error}: {body[:SHOWN]!r}") from None
    if not isinstance(found, dict):
        raise BadAnswer(f"the answer is no JSON object: {body[:SHOWN]!r}")
    return found
