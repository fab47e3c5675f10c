"""Adapter: a folder or a file of this machine, which needs no fetching."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from modelserve.errors import InvalidSpec
from modelserve.sources.uris import ModelUri


def local_path(uri: ModelUri, where: str = "spec.model.uri") -> Path:
    """What a plain path or a ``file://`` URI names. Raises InvalidSpec for what can't be followed safely."""
    told = f"{where}: got {uri.shown!r}"
    if uri.scheme == "file" and uri.host not in ("", "localhost"):
        raise InvalidSpec(f"{told}: write a path or file:///path; a file on another machine is out of reach")
    if uri.sha256 is not None:
        raise InvalidSpec(f"{told}: a path takes no '#sha256='; pin its content with spec.model.digest")
    path = Path(uri.path if uri.scheme == "" else unquote(f"/{uri.path}"))
    if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise InvalidSpec(f"{told}: the path must be absolute and without '..'")
    try:
        path.stat()
    except OSError as error:
        raise InvalidSpec(f"{told}: {(error.strerror or 'it can not be read').lower()}") from None
    return path
