"""The model registry as people use it: register, look up, move an alias, delete what nothing uses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from modelserve.control.artefacts import obtain
from modelserve.control.book import Service
from modelserve.control.platform import Platform
from modelserve.domain.registry import ModelVersion, RegisteredModel
from modelserve.domain.services import ModelRef
from modelserve.errors import Conflict, InvalidSpec, NotFound


async def register(
    platform: Platform,
    name: str,
    model: ModelRef,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    aliases: Iterable[str] = (),
) -> ModelVersion:
    """Bring a model into the artefact store and give it the next number under ``name``.

    Raises what :func:`modelserve.control.artefacts.obtain` does; nothing is registered then.
    """
    if model.uri.startswith("models:"):
        raise InvalidSpec(f"uri: got {model.uri!r}: it is registered already; give it an alias instead")
    async with obtain(platform, model, "uri") as (digest, _):
        version = ModelVersion(
            name, 0, digest, model.uri, platform.now(), description, dict(tags or {}), dict(metrics or {})
        )
        async with platform.book.lock:
            return await asyncio.to_thread(platform.book.records.register, version, tuple(aliases))


async def models(platform: Platform) -> tuple[RegisteredModel, ...]:
    return await asyncio.to_thread(platform.book.records.registered)


async def model(platform: Platform, name: str) -> RegisteredModel:
    """Raises NotFound that says which models there are."""
    found = await asyncio.to_thread(platform.book.records.registered, name)
    if found:
        return found[0]
    known = ", ".join(known.name for known in await models(platform)) or "none yet"
    raise NotFound(f"there is no registered model {name!r}; known: {known}")


async def version(platform: Platform, name: str, number: int) -> ModelVersion:
    """Raises NotFound that says which versions there are."""
    found = await model(platform, name)
    if (wanted := found.version(number)) is None:
        known = ", ".join(str(version.number) for version in found.versions)
        raise NotFound(f"registered model {name!r} has no version {number}; known: {known}")
    return wanted


async def point(platform: Platform, name: str, alias: str, number: int) -> str:
    """Move an alias, or make it; returns what to do so that services follow. Raises NotFound."""
    await version(platform, name, number)
    await asyncio.to_thread(platform.book.records.set_alias, name, alias, number)
    reference = f"models:/{name}@{alias}"
    services = [s.name for s in platform.book.services() if s.spec.spec.model.uri == reference]
    follow = f"; apply again what names it, to roll it out: {', '.join(services)}" if services else ""
    return f"{alias} of {name} is version {number}{follow}"


async def remove_alias(platform: Platform, name: str, alias: str) -> None:
    """Raises NotFound."""
    await asyncio.to_thread(platform.book.records.remove_alias, name, alias)


async def delete(platform: Platform, name: str, number: int | None = None) -> None:
    """Forget one version, or all of a model. Raises NotFound, or Conflict while a service uses one."""
    async with platform.book.lock:
        found = await model(platform, name)
        doomed = found.versions if number is None else (await version(platform, name, number),)
        for one in doomed:
            _require_unused(platform, one)
        records = platform.book.records
        if number is None:
            await asyncio.to_thread(records.delete_model, name)
        else:
            await asyncio.to_thread(records.delete_version, name, number)


def _require_unused(platform: Platform, version: ModelVersion) -> None:
    for service in platform.book.services():
        if using := next(
            (name for name in _in_play(service) if _uri(service, name) == version.reference), None
        ):
            raise Conflict(
                f"{version.reference} is what {using} serves: give {service.name} another model first"
            )


def _in_play(service: Service) -> tuple[str, ...]:
    """The revisions that take traffic, may take it again at once, or are about to."""
    rollout = service.active
    names = (service.stable, *((rollout.candidate, rollout.stable) if rollout else ()))
    return tuple(name for name in names if name in service.revisions)


def _uri(service: Service, revision: str) -> str:
    return service.spec_of(revision).spec.model.uri
