"""The digest of a package: equal digests mean the same files, and so the same answers."""

from __future__ import annotations

from pathlib import Path

from modelserve._kit.trees import UnfitTree, tree_digest
from modelserve.errors import InvalidPackage


def digest(path: Path) -> str:
    """sha256, in hex, over the sorted names, sizes and contents of all files (see ``tree_digest``).

    A bare file has the digest of a folder that holds it alone. Raises InvalidPackage for links that leave the
    folder, pipes, sockets, devices, an empty folder, and what can't be read.
    """
    try:
        return tree_digest(path)
    except UnfitTree as error:
        raise InvalidPackage(f"{path.name}: {error}") from error
    except OSError as error:
        raise InvalidPackage(f"{error.filename or path}: can't be read: {error.strerror}") from error
