"""From a typed spec back to the document, and to the JSON Schema that describes every document."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaSerializer, core_schema

from modelserve.domain.experiments import Experiment
from modelserve.domain.services import ModelService

SCHEMA_ID = "https://modelserve.ai/schemas/v1alpha1/modelservice.schema.json"
EXPERIMENT_SCHEMA_ID = "https://modelserve.ai/schemas/v1alpha1/experiment.schema.json"


def to_document(service: ModelService, *, defaults: bool = False) -> dict[str, Any]:
    """The canonical document: the file's names and texts, in the order of the model.

    Without ``defaults`` it holds only what differs from them; with them, every field.
    """
    document = service.model_dump(mode="json", by_alias=True, exclude_defaults=not defaults)
    return {"apiVersion": service.api_version, "kind": service.kind} | document


def dump(service: ModelService, *, defaults: bool = False) -> str:
    """The document as YAML; ``parse(dump(service), ...) == service``."""
    document = to_document(service, defaults=defaults)
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one document, for editors and for the cluster's CRD."""
    return _schema(ModelService, SCHEMA_ID)


def experiment_schema() -> dict[str, Any]:
    """As :func:`schema`, of an experiment."""
    return _schema(Experiment, EXPERIMENT_SCHEMA_ID)


def _schema(model: type[BaseModel], identity: str) -> dict[str, Any]:
    generated = model.model_json_schema(by_alias=True, schema_generator=_FileSchema)
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": identity} | generated


class _Dumper(yaml.SafeDumper):
    """Escapes the line breaks of Unicode, which a reader of YAML turns into plain ones."""


_BREAKS = frozenset("\x85\u2028\u2029")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _BREAKS & set(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


class _FileSchema(GenerateJsonSchema):
    """Defaults as a file writes them (``"30s"``, not 30.0), and no titles that only repeat the name."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if "default" in described and schema["schema"]["type"] != "definition-ref":
            serializer = SchemaSerializer(schema["schema"])
            described["default"] = serializer.to_python(schema["default"], mode="json", by_alias=True)
        return described

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
