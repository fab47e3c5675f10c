"""Which models a server may load, and where their packages lie.

A repository folder holds one folder (or bare ``.onnx`` file) for each model, named for it; a model's folder
is a package, or holds numbered folders that are packages: its versions, of which the highest answers where a
call names none. Hidden entries are no models, nor those whose names can't be printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from modelserve.errors import Unavailable, UnknownModel, UnknownRevision
from modelserve.protocol.values import listing


class Catalogue(Protocol):
    def names(self) -> tuple[str, ...]: ...

    def resolve(self, name: str, version: str | None) -> tuple[str, Path]:
        """The version that answers, and its package. Raises UnknownModel or UnknownRevision."""


class OneModel:
    """The catalogue of a server that serves one revision of one service."""

    def __init__(self, service: str, revision: str, package: Path) -> None:
        self._service, self._revision, self._package = service, revision, package

    def names(self) -> tuple[str, ...]:
        return (self._service,)

    def resolve(self, name: str, version: str | None) -> tuple[str, Path]:
        if name != self._service:
            raise UnknownModel(f'model: got "{name[:64]}"; this server answers for "{self._service}"')
        if version is not None and version != self._revision:
            raise UnknownRevision(f'version: got "{version[:64]}"; this server is "{self._revision}"')
        return self._revision, self._package


class RepositoryFolder:
    """The catalogue of a folder; what is put there while the server runs is found when it is asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> tuple[str, ...]:
        """The models in the folder, sorted. Raises Unavailable if it can't be read."""
        return tuple(sorted(self._models()))

    def resolve(self, name: str, version: str | None) -> tuple[str, Path]:
        versions = self._versions(name)
        if version is None:
            return list(versions.items())[-1]
        if version not in versions:
            known = listing(versions)
            raise UnknownRevision(f'version: got "{version[:64]}"; "{name}" has {known}')
        return version, versions[version]

    def _versions(self, name: str) -> Mapping[str, Path]:
        """At least one, in rising order."""
        models = self._models()
        if name not in models:
            known = listing(sorted(models)[:20]) or "none"
            raise UnknownModel(f'model: got "{name[:64]}"; this server has {known}')
        path = models[name]
        numbered = [entry for entry in _entries(path) if _is_version(entry)] if path.is_dir() else []
        return {entry.name: entry for entry in sorted(numbered, key=_number)} or {"1": path}

    def _models(self) -> dict[str, Path]:
        """Paths by the names that calls say; a folder goes before a file of the same name."""
        found = [entry for entry in _entries(self._root) if not entry.name.startswith(".")]
        files = {entry.stem: entry for entry in found if _bare(entry)}
        folders = {entry.name: entry for entry in found if entry.is_dir()}
        return {name: path for name, path in {**files, **folders}.items() if name.isprintable()}


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise Unavailable(f"{folder.name}: can't be read: {error.strerror}") from error


def _bare(entry: Path) -> bool:
    return entry.suffix == ".onnx" and entry.is_file()


def _is_version(entry: Path) -> bool:
    return entry.name.isascii() and entry.name.isdigit() and entry.is_dir()


def _number(entry: Path) -> tuple[int, str]:
    return int(entry.name), entry.name
