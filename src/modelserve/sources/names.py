"""Names of files that come from elsewhere: only such as stay inside of the folder they are written to."""

from __future__ import annotations

from modelserve.sources.base import Refused

MAX_NAME = 1024
MAX_PART = 255


def safe_name(name: str) -> str:
    """The name as it was given. Raises Refused for one that leaves the folder or that no disk can keep."""
    parts = name.split("/")
    odd = "\\" in name or not name.isprintable() or len(name.encode(errors="replace")) > MAX_NAME
    if odd or any(part in ("", ".", "..") or len(part.encode()) > MAX_PART for part in parts):
        raise Refused(f"it holds a file named {name[:80]!r}; a plain relative name without '..' is wanted")
    return name
