"""The model registry's part of the control API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from modelserve.control import registry, views
from modelserve.control.platform import Platform
from modelserve.domain.models import Runtime, Task
from modelserve.domain.registry import ALIAS, MODEL_NAME
from modelserve.domain.services import ModelRef

Json = dict[str, Any]
Model = Annotated[str, Path(pattern=MODEL_NAME, description="Name of a registered model")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of one of its versions")]
AliasName = Annotated[str, Field(pattern=ALIAS)]
Alias = Annotated[str, Path(pattern=ALIAS, description="A name for one of its versions")]
Text = Annotated[str, Field(min_length=1, max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewVersion(_Body):
    """What to register."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """Where the model lies, as ``spec.model.uri`` would say it."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """What the artefact must be."""
    task: Task | None = None
    runtime: Runtime | None = None
    description: Annotated[str, Field(max_length=10_000)] = ""
    tags: Annotated[dict[Text, Annotated[str, Field(max_length=1000)]], Field(max_length=100)] = {}
    metrics: Annotated[dict[Text, FiniteFloat], Field(max_length=100)] = {}
    aliases: Annotated[list[AliasName], Field(max_length=20)] = []

    @property
    def model(self) -> ModelRef:
        return ModelRef(uri=self.uri, digest=self.digest, task=self.task, runtime=self.runtime)


class Target(_Body):
    """Where an alias points to."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


def registry_routes(platform: Platform, problems: dict[int | str, dict[str, Any]]) -> APIRouter:
    api = APIRouter(prefix="/api/v1/registry/models", responses=problems)
    _reading(api, platform)
    _changing(api, platform)
    return api


def _reading(api: APIRouter, platform: Platform) -> None:
    @api.get("")
    async def models() -> list[Json]:
        """Every registered model with its versions and aliases."""
        return [views.registered_view(model) for model in await registry.models(platform)]

    @api.get("/{model}")
    async def model(model: Model) -> Json:
        return views.registered_view(await registry.model(platform, model))

    @api.get("/{model}/versions/{number}")
    async def version(model: Model, number: Number) -> Json:
        return views.version_view(await registry.version(platform, model, number))


def _changing(api: APIRouter, platform: Platform) -> None:
    @api.post("/{model}/versions", status_code=201)
    async def register(model: Model, body: NewVersion) -> Json:
        """Add a version; 503 with the code ``fetching`` while it is on its way: send it again to wait on."""
        made = await registry.register(
            platform,
            model,
            body.model,
            description=body.description,
            tags=body.tags,
            metrics=body.metrics,
            aliases=body.aliases,
        )
        return {"message": f"registered as {made.reference}", "version": views.version_view(made)}

    @api.put("/{model}/aliases/{alias}")
    async def point(model: Model, alias: Alias, body: Target) -> Json:
        """Make an alias, or move it in one step."""
        return {"message": await registry.point(platform, model, alias, body.version)}

    @api.delete("/{model}/aliases/{alias}")
    async def remove_alias(model: Model, alias: Alias) -> Json:
        await registry.remove_alias(platform, model, alias)
        return {"message": f"{alias} of {model} is removed"}

    @api.delete("/{model}/versions/{number}")
    async def delete_version(model: Model, number: Number) -> Json:
        """Refused with 409 while a service serves it or an alias points to it."""
        await registry.delete(platform, model, number)
        return {"message": f"version {number} of {model} is deleted"}

    @api.delete("/{model}")
    async def delete_model(model: Model) -> Json:
        """All versions and aliases; refused with 409 while a service serves one."""
        await registry.delete(platform, model)
        return {"message": f"{model} is deleted with all its versions"}
