"""Adapter: artefacts in a folder, ``ROOT/sha256/ab/abcdef.../``, each written once and then read-only.

A writer copies into a hidden sibling (``.DIGEST.RANDOM.partial``), checks the copy and renames it into place,
so that a reader sees a whole artefact or none. Of two writers of the same artefact the second finds the name
taken and throws its copy away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from modelserve._kit.trees import UnfitTree, tree_digest, tree_files
from modelserve.errors import InvalidPackage, NotFound, Unavailable
from modelserve.stores.blobs.base import Artefact

ABANDONED = 3600.0
"""Seconds without a write after which a half-written copy is taken for the leftover of a killed writer."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class LocalBlobs:
    """The store under ``root``; several processes may write to it at once.

    Raises Unavailable if the folder can't be made. Cleans up after writers that were killed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._top = self.root / "sha256"
        with _writing(self._top):
            self._top.mkdir(parents=True, exist_ok=True)
            self._drop_abandoned()

    def put(self, source: Path) -> tuple[str, Path]:
        digest = _digest_of(source)
        kept = self._place(digest)
        if not kept.is_dir():
            with _writing(self._top):
                self._write(source, digest, kept)
        _touch(kept)
        return digest, kept

    def path(self, digest: str) -> Path:
        kept = self._place(digest) if _DIGEST.fullmatch(digest) else None
        if kept is None or not kept.is_dir():
            raise NotFound(f"artefact {digest!r} is not in the store")
        _touch(kept)
        return kept

    def verify(self, digest: str) -> None:
        found = _digest_of(self.path(digest))
        if found != digest:
            raise InvalidPackage(f"artefact {digest}: its files now give {found}; put the package again")

    def artefacts(self) -> tuple[Artefact, ...]:
        found = [_artefact(kept) for kept in self._top.glob("*/*") if _DIGEST.fullmatch(kept.name)]
        return tuple(sorted(found, key=lambda artefact: (artefact.used, artefact.digest)))

    def evict(self, digest: str) -> None:
        """Renamed first, so that nobody sees half of it."""
        kept = self._place(digest)
        leaving = kept.parent / f".{digest}.{secrets.token_hex(4)}.partial"
        with _writing(self._top):
            try:
                kept.rename(leaving)
            except FileNotFoundError:
                return
        _discard(leaving)

    def _place(self, digest: str) -> Path:
        return self._top / digest[:2] / digest

    def _write(self, source: Path, digest: str, kept: Path) -> None:
        kept.parent.mkdir(exist_ok=True)
        partial = kept.parent / f".{digest}.{secrets.token_hex(4)}.partial"
        try:
            _copy(source, partial)
            if tree_digest(partial) != digest:
                raise InvalidPackage(
                    f"{source.name}: changed while it was copied; try again when it is still"
                )
            _seal(partial)
            _rename(partial, kept)
        finally:
            _discard(partial)

    def _drop_abandoned(self) -> None:
        for partial in self._top.glob("*/.*.partial"):
            if time.time() - _last_write(partial) > ABANDONED:
                _discard(partial)


@contextlib.contextmanager
def _writing(top: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"artefact store {top}: can't be written: {error.strerror}") from error


def _digest_of(source: Path) -> str:
    try:
        return tree_digest(source)
    except UnfitTree as error:
        raise InvalidPackage(f"{source.name}: {error}") from error
    except OSError as error:
        raise InvalidPackage(f"{error.filename or source}: can't be read: {error.strerror}") from error


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    try:
        for name, path in tree_files(source):
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    except (FileNotFoundError, UnfitTree) as error:
        raise InvalidPackage(
            f"{source.name}: changed while it was copied; try again when it is still"
        ) from error


def _seal(tree: Path) -> None:
    """Make everything read-only and wait until it is on the disk, files before the folders that name them."""
    for folder, _, files in os.walk(tree, topdown=False):
        for path in (*(Path(folder) / name for name in files), Path(folder)):
            path.chmod(0o555 if path.is_dir() else 0o444)
            _flush(path)


def _rename(partial: Path, kept: Path) -> None:
    try:
        partial.rename(kept)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    _flush(kept.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _touch(kept: Path) -> None:
    """Note that it was used now, in the folder's own time: content is names and bytes alone."""
    with contextlib.suppress(OSError):
        os.utime(kept, ns=(time.time_ns(),) * 2)  # the kernel's own "now" is as coarse as its clock ticks


def _artefact(kept: Path) -> Artefact:
    size = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    return Artefact(kept.name, size, kept.stat().st_mtime)


def _last_write(partial: Path) -> float:
    """Unix seconds of the newest change inside; now, if another process is just removing it."""
    with contextlib.suppress(OSError):
        return max(path.stat().st_mtime for path in (partial, *partial.rglob("*")))
    return time.time()


def _discard(partial: Path) -> None:
    """Remove a copy that was not renamed; nothing happens where it is gone already."""
    for folder, _, _ in os.walk(partial):
        with contextlib.suppress(OSError):
            Path(folder).chmod(0o755)
    shutil.rmtree(partial, ignore_errors=True)
