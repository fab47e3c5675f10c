"""Graphs as ONNX Runtime optimised them, kept in a folder: loading one again takes a fraction of the time.

One folder for each model, engine and processor, with the graph and its weights beside it, which the engine
maps into memory. A folder that can't be read, written or understood costs time, never an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelserve._kit.machine import cpu_model

GRAPH, WEIGHTS = "model.onnx", "weights.bin"
LEAST = 1024**2
"""Bytes of a model's file from which its graph is kept: a smaller one is optimised in no time."""
MOST = 16 * 1024**3
"""Bytes that all kept graphs may take; those that were used longest ago go first."""


class Graphs:
    """``folder`` None: nothing is kept."""

    def __init__(self, folder: Path | None, most: int = MOST) -> None:
        self._folder, self._most = folder, most

    def find(self, digest: str, engine: str) -> Path | None:
        """The kept graph of the model with this digest; None if there is none."""
        if self._folder is None:
            return None
        place = self._place(self._folder, digest, engine)
        try:
            os.utime(place)
        except OSError:
            return None
        return place / GRAPH

    def drop(self, digest: str, engine: str) -> None:
        """Forget a graph that the engine could not load."""
        if self._folder is not None:
            shutil.rmtree(self._place(self._folder, digest, engine), ignore_errors=True)

    @contextmanager
    def making(self, digest: str, engine: str) -> Iterator[Path | None]:
        """Where the engine is to write the graph, None if nowhere; kept once the block has ended well."""
        scratch = self._scratch()
        try:
            yield scratch / GRAPH if scratch else None
            if scratch and self._folder and (scratch / GRAPH).is_file():
                self._keep(scratch, self._place(self._folder, digest, engine))
        finally:
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)

    def _scratch(self) -> Path | None:
        if self._folder is None:
            return None
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Path(tempfile.mkdtemp(dir=self._folder, prefix=".making-"))
        return None

    def _keep(self, scratch: Path, place: Path) -> None:
        """Two servers may have made the same graph: the first one's stays."""
        self._make_room(_size(scratch))
        with contextlib.suppress(OSError):
            scratch.rename(place)

    def _make_room(self, wanted: int) -> None:
        kept = sorted(self._kept(), key=lambda entry: entry[0])
        total = wanted + sum(size for _, size, _ in kept)
        for _, size, place in kept:
            if total <= self._most:
                return
            shutil.rmtree(place, ignore_errors=True)
            total -= size

    def _kept(self) -> Iterator[tuple[float, int, Path]]:
        """(when it was last used, bytes, where) of each graph."""
        for place in self._folder.iterdir() if self._folder else ():
            with contextlib.suppress(OSError):
                if not place.name.startswith("."):
                    yield place.stat().st_mtime, _size(place), place

    @staticmethod
    def _place(folder: Path, digest: str, engine: str) -> Path:
        return folder / hashlib.sha256("\n".join((digest, engine, cpu_model())).encode()).hexdigest()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
