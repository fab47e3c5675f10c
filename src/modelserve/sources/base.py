"""Port: a source of models, which tells what lies at a URI and hands out its files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from modelserve._kit.downloads import Body, Broken, Changed, Refused
from modelserve.sources.uris import ModelUri

__all__ = ["Body", "Broken", "Changed", "Listing", "Refused", "RemoteFile", "Source"]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file at its source."""

    name: str
    """Where it goes in the package, such as ``onnx/model.onnx``."""
    address: str
    """How its source finds it: a URL or a key."""
    size: int | None = None
    """Bytes, where the source tells."""
    validator: str | None = None
    """ETag or the like: equal for equal content. Without one nothing is resumed."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """Promised hashes in hex, by method: ``sha256``, ``md5``, ``git``."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a URI means at this moment."""

    files: tuple[RemoteFile, ...]
    version: str | None = None
    """Equal for equal files: an ETag, a commit. None: the source can't tell, so it is fetched every time."""


class Source(Protocol):
    """Both methods raise Refused (asking again can't help), Changed, or Broken (it may)."""

    def look(self, uri: ModelUri) -> Listing:
        """What lies there now; no content is read."""

    def open(self, file: RemoteFile, start: int) -> AbstractContextManager[Body]:
        """The file from a byte on, or whole where the source knows no ranges.

        Raises Changed if its content is no longer that of the listing.
        """
