"""Sources as an operator opens them, with little patience, and models for them to fetch."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from modelserve._kit.downloads import Patience
from modelserve.sources import Bounds, Sources, open_sources, parse_uri

WHERE = "spec.model.uri"
QUICK = Patience(tries=4, first=0.001, longest=0.002, stall=5.0)


class Here:
    """One machine that fetches; ``progress`` is what it was told on the way."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.folder = folder
        self.progress: list[tuple[int, int | None]] = []
        self.open(**how)

    def open(self, patience: Patience = QUICK, **how: Any) -> None:
        trusted = how.pop("trusted", ("127.0.0.1",))
        self.sources: Sources = open_sources(
            self.folder, bounds=Bounds(patience=patience, **how), trusted_hosts=trusted
        )

    def fetch(self, uri: str) -> Path:
        parsed = parse_uri(uri)
        listing = self.sources.look(parsed, WHERE)
        tell: Callable[[int, int | None], None] = lambda *told: self.progress.append(told)  # noqa: E731
        return self.sources.fetch(parsed, listing, tell, WHERE).path

    def version(self, uri: str) -> str | None:
        return self.sources.look(parse_uri(uri), WHERE).version


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "sources")


def content(package: Path) -> dict[str, bytes]:
    if package.is_file():
        return {package.name: package.read_bytes()}
    return {str(p.relative_to(package)): p.read_bytes() for p in package.rglob("*") if p.is_file()}


def tar_gz(files: Mapping[str, bytes], *odd: tarfile.TarInfo) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in odd:
            tar.addfile(member)
    return whole.getvalue()


def zipped(files: Mapping[str, bytes], **attributes: int) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(member, key, value)
            archive.writestr(member, data)
    return whole.getvalue()


class Tools:
    """Small helpers that test modules can't import from here."""

    here = Here
    quick = QUICK
    content = staticmethod(content)
    tar_gz = staticmethod(tar_gz)
    zipped = staticmethod(zipped)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools
