"""From the spec's model to an artefact in the store, and which artefacts may leave it again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from modelserve.control.fetching import Artefact
from modelserve.control.platform import Platform
from modelserve.domain.models import Allowed, ModelPackage, Runtime
from modelserve.domain.registry import ModelVersion, parse_reference
from modelserve.domain.services import ModelRef
from modelserve.errors import InvalidSpec, ModelServeError
from modelserve.packages import open_package
from modelserve.packages.operators.names import RANDOM, operators_of
from modelserve.packages.reference import reference
from modelserve.routing.table import revisions
from modelserve.runtimes.external import check, describe
from modelserve.sources import ModelUri, parse_uri
from modelserve.sources.file import local_path
from modelserve.stores.blobs.base import Artefact as Kept
from modelserve.tasks import task_for

URI = "spec.model.uri"

log = logging.getLogger("modelserve.control")


@asynccontextmanager
async def obtain(platform: Platform, model: ModelRef, where: str = URI) -> AsyncIterator[Artefact]:
    """Digest and folder of a model that was read and found fit, safe from eviction while this is open.

    Raises InvalidSpec, InvalidPackage, Unavailable, or Fetching if it takes long; nothing has changed then.
    """
    if model.runtime is Runtime.EXTERNAL:
        content = await platform.fetcher.run(lambda: describe(model.uri, platform.allowed))
        with reference(content) as source:
            async with _copied(platform, source, model, where) as artefact:
                yield artefact
        return
    uri = parse_uri(model.uri, where)
    if uri.scheme in ("", "file"):
        async with _copied(platform, local_path(uri, where), model, where) as artefact:
            yield artefact
        return
    bringing = await _registered(platform, uri, model, where) if uri.scheme == "models" else None
    async with bringing or platform.fetcher.fetched(uri, where) as artefact:
        _check_pin(model, artefact, where)
        await _check(platform, artefact[1], model)
        yield artefact


@asynccontextmanager
async def _copied(platform: Platform, source: Path, model: ModelRef, where: str) -> AsyncIterator[Artefact]:
    await _check(platform, source, model)  # before it is copied
    async with platform.fetcher.copied(source) as artefact:
        _check_pin(model, artefact, where)
        yield artefact


async def resolve(platform: Platform, model: ModelRef) -> ModelRef:
    """The same with ``models:/NAME@ALIAS`` as the version that it means now. Raises InvalidSpec."""
    if not model.uri.startswith("models:"):
        return model
    version = await _version(platform, parse_uri(model.uri, URI), URI)
    return model.model_copy(update={"uri": version.reference})


async def _registered(
    platform: Platform, uri: ModelUri, model: ModelRef, where: str
) -> AbstractAsyncContextManager[Artefact]:
    """The artefact of a registered version; from its own source again if the store has lost it."""
    version = await _version(platform, uri, where)
    if await platform.fetcher.has(version.digest):
        return platform.fetcher.stored(version.digest)
    source = model.model_copy(update={"uri": version.uri, "digest": version.digest})
    return obtain(platform, source, where)


async def _version(platform: Platform, uri: ModelUri, where: str) -> ModelVersion:
    told = f"{where}: got {uri.shown!r}"
    asked = parse_reference(uri.path)
    if asked is None:
        raise InvalidSpec(f"{told}: write models:/name/version or models:/name@alias")
    found = await platform.fetcher.run(lambda: platform.book.records.registered(asked.model))
    if not found:
        raise InvalidSpec(f"{told}: there is no registered model {asked.model!r}")
    number = found[0].aliases.get(asked.alias) if asked.alias else asked.number
    version = found[0].version(number) if number is not None else None
    if version is None:
        known = (*(str(v.number) for v in found[0].versions), *(f"@{alias}" for alias in found[0].aliases))
        raise InvalidSpec(f"{told}: {asked.model} has {', '.join(known)}")
    return version


async def _check(platform: Platform, package: Path, model: ModelRef) -> None:
    """Whatever a model server would refuse when it loads the package is refused here, but for the engine."""

    def read() -> ModelPackage:
        found = open_package(package, model.task, model.runtime)
        task_for(found)
        return found

    _require_allowed(await platform.fetcher.run(read), platform.allowed)


async def deterministic(platform: Platform, folder: Path, model: ModelRef) -> bool:
    """Whether a package that was checked gives equal answers to equal requests, as far as it tells."""

    def told() -> bool:
        package = open_package(folder, model.task, model.runtime)
        return package.deterministic and not operators_of(package.model_file) & RANDOM

    return await platform.fetcher.run(told)


def _require_allowed(package: ModelPackage, allowed: Allowed) -> None:
    """Raise InvalidSpec for a package that would do what the operator has not allowed."""
    if package.code is not None and not allowed.code:
        raise InvalidSpec(
            f"spec.model.uri: {package.path.name} answers with code of its own ({package.code.entry}), which "
            f"this platform does not run; its operator may allow it: modelserve up --allow-code"
        )
    if package.pickled and not allowed.pickle:
        raise InvalidSpec(
            f"spec.model.uri: {package.model_file.name} is a pickle, and reading one runs code: save it with "
            f"skops.io.dump(model, 'model.skops') or convert it to ONNX with skl2onnx; this platform's "
            f"operator may allow pickles: modelserve up --allow-pickle"
        )
    if package.external is not None:
        check(package.external.url, allowed)


def _check_pin(model: ModelRef, artefact: Artefact, where: str) -> None:
    if model.digest not in (None, artefact[0]):
        raise InvalidSpec(
            f"spec.model.digest: got {model.digest}, but what {where} names now has the digest {artefact[0]}"
        )


async def bring_back(platform: Platform) -> None:
    """Fetch from a store elsewhere what must run here and does not lie here, as on a new disk.

    What can't be had is told in the log; its servers say that their package is missing, and are tried again.
    """
    for service in platform.book.services():
        for name in revisions(service.traffic()):
            try:
                await platform.fetcher.run(partial(platform.blobs.path, service.revisions[name].digest))
            except ModelServeError as error:
                log.warning("the artefact of %s can't be brought back: %s", name, error)


async def collect(platform: Platform, limit: int = 0) -> tuple[Kept, ...]:
    """Drop artefacts that nobody names, the longest unused first, until at most ``limit`` bytes are left.

    Returns those that left. Raises Unavailable.
    """
    kept = await platform.fetcher.run(platform.blobs.artefacts)
    size, left = sum(artefact.size for artefact in kept), []
    for artefact in kept:
        if size <= limit:
            break
        async with platform.book.lock:  # who is about to name it holds it, or waits for this lock
            if artefact.digest in await named(platform) or not await platform.fetcher.evict(artefact.digest):
                continue
        size -= artefact.size
        left.append(artefact)
        log.info("artefact %s left the store: nothing names it", artefact.digest)
    return tuple(left)


async def named(platform: Platform) -> frozenset[str]:
    """Digests that a revision or a registered version names, or that a server still runs."""
    models = await platform.fetcher.run(platform.book.records.registered)
    versions = (version.digest for model in models for version in model.versions)
    made = (r.digest for service in platform.book.services() for r in service.revisions.values())
    running = (Path(str(workload.config.get("package", ""))).name for workload in platform.applied.values())
    return frozenset((*versions, *made, *running))
