"""Port: the artefact store, which keeps each model package once, under the digest of its content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Artefact:
    """One package that takes room on this machine."""

    digest: str
    size: int
    """Bytes of its files."""
    used: float
    """Unix seconds when it was last put or asked for."""


class Blobs(Protocol):
    def put(self, source: Path) -> tuple[str, Path]:
        """Keep a package folder (or bare file); returns its digest and where it now lies, read-only.

        A package that is there already is not written again. Raises InvalidPackage for what can't be kept
        (links that leave the folder, nothing inside), Unavailable when the store can't be written.
        """

    def path(self, digest: str) -> Path:
        """Where the artefact lies on this machine, brought here if the store keeps it elsewhere.

        Raises NotFound, or Unavailable when a store elsewhere is out of reach.
        """

    def verify(self, digest: str) -> None:
        """Read everything again. Raises InvalidPackage if the content no longer gives this digest."""

    def artefacts(self) -> tuple[Artefact, ...]:
        """What lies on this machine, the least recently used first."""

    def evict(self, digest: str) -> None:
        """Free this machine of it; a copy that the store keeps elsewhere stays. Unknown ones are ignored.

        Raises Unavailable.
        """
