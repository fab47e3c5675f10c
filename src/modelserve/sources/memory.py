"""What this machine remembers of fetches: which URI gave which artefact, and what is half-way here.

``ROOT/index/KEY.json`` and ``ROOT/partial/KEY/``, where KEY is a hash of the URI.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from contextlib import suppress
from pathlib import Path

from modelserve._kit.files import write_atomically

ABANDONED = 7 * 86400.0
"""Seconds without a change after which what is half-way here is thrown away."""


class Memory:
    """Under ``root``, which is made when it is needed."""

    def __init__(self, root: Path) -> None:
        self._index, self._partial = root / "index", root / "partial"
        for folder in self._partial.glob("*"):
            if time.time() - _last_change(folder) > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)

    def digest(self, uri: str, version: str | None) -> str | None:
        """Of the artefact that this version of the URI gave; None where it is not known."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self._note(uri).read_text())
            if note["uri"] == uri and version is not None and note["version"] == version:
                return str(note["digest"])
        return None

    def keep(self, uri: str, version: str | None, digest: str) -> None:
        """Raises OSError."""
        note = {"uri": uri, "version": version, "digest": digest, "at": time.time()}
        write_atomically(self._note(uri), json.dumps(note))

    def workspace(self, uri: str) -> Path:
        """Where the URI's files gather until they are whole."""
        return self._partial / _key(uri)

    def discard(self, uri: str) -> None:
        shutil.rmtree(self.workspace(uri), ignore_errors=True)

    def _note(self, uri: str) -> Path:
        return self._index / f"{_key(uri)}.json"


def _key(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


def _last_change(folder: Path) -> float:
    with suppress(OSError):
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time()
