"""All files of one URI into a folder: listed, bounded, fetched one by one, unpacked."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from modelserve._kit.downloads import Broken, Changed, Download, Patience, Refused, Wanted
from modelserve.sources.archives import ENDINGS, unpack
from modelserve.sources.base import Listing, RemoteFile, Source
from modelserve.sources.names import safe_name
from modelserve.sources.uris import MODELS

ROUNDS = 3
"""Times that a source may change under the fetch before it is given up."""

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here, and those that are expected (None: the source does not tell)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one model may take."""

    max_bytes: int = 20 * 1024**3
    max_files: int = 10_000
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A package that came from elsewhere and lies in a folder of ours."""

    path: Path
    version: str | None
    """Of the listing that it came from."""


class Fetch:
    """One URI on its way into ``folder``, where an earlier try may have left parts of it."""

    def __init__(
        self, source: Source, folder: Path, bounds: Bounds, halt: threading.Event, progress: Progress
    ) -> None:
        self._source, self._folder, self._bounds = source, folder, bounds
        self._halt, self._progress = halt, progress

    def run(self, look: Callable[[], Listing], first: Listing) -> Fetched:
        """Fetch what ``first`` lists, anew if it changes meanwhile. Raises Refused, Broken or OSError."""
        listing = first
        for _ in range(ROUNDS):
            try:
                return Fetched(self._round(listing), listing.version)
            except Changed:
                listing = look()
        raise Broken("it changes while it is fetched", again=False)

    def _round(self, listing: Listing) -> Path:
        self._check(listing)
        tree = self._folder / "files"
        here = 0
        for file in listing.files:
            here += self._download(file, tree / safe_name(file.name), here, _total(listing))
        self._drop_strangers(listing, tree)
        return self._unpacked(listing, tree)

    def _check(self, listing: Listing) -> None:
        if len(listing.files) > self._bounds.max_files:
            raise Refused(
                f"it has more than {self._bounds.max_files} files, the limit (MODELSERVE_FETCH_FILES)"
            )
        known = sum(file.size or 0 for file in listing.files)
        if known > self._bounds.max_bytes:
            raise Refused(
                f"it has {known} bytes; the limit is {self._bounds.max_bytes} (MODELSERVE_FETCH_LIMIT)"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free
        if known > free:
            raise Broken(f"it has {known} bytes, but the disk has only {free} free", again=False)

    def _download(self, file: RemoteFile, target: Path, here: int, total: int | None) -> int:
        """Bytes of the file, once it is whole; one that came whole earlier is not fetched again."""
        identity = file.validator or file.checks.get("sha256")
        done = self._folder / "done" / target.relative_to(self._folder / "files")
        if target.exists() and identity and _read(done) == identity:
            return target.stat().st_size
        Download(
            partial(self._source.open, file),
            target,
            Wanted(identity, file.size, file.checks),
            limit=self._bounds.max_bytes - here,
            patience=self._bounds.patience,
            halt=self._halt,
            progress=lambda have: self._progress(here + have, total),
        ).run()
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(identity or "")
        return target.stat().st_size

    def _drop_strangers(self, listing: Listing, tree: Path) -> None:
        """What an earlier listing had and this one has not."""
        wanted = {tree / file.name for file in listing.files}
        for path in tree.rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()

    def _unpacked(self, listing: Listing, tree: Path) -> Path:
        if len(listing.files) > 1:
            return tree
        only = tree / listing.files[0].name
        if not only.name.lower().endswith(ENDINGS):
            return only if only.parent == tree and only.suffix in MODELS else tree
        unpacked = self._folder / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        bounds = self._bounds
        return unpack(only, only.name, unpacked, limit=bounds.max_bytes, most=bounds.max_files)


def _total(listing: Listing) -> int | None:
    sizes = [file.size for file in listing.files if file.size is not None]
    return sum(sizes) if len(sizes) == len(listing.files) else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
