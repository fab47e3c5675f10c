"""A file or a folder as content: which files it holds, and one digest over them.

Content is names and bytes: no times, owners or modes. A bare file counts as a folder that holds that file, so
that both give the same digest. Links are followed where they stay inside; nothing is left out.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnfitTree(ValueError):
    """A tree that is not plain content; the message names the entry and what would be right."""


def tree_files(root: Path) -> list[tuple[str, Path]]:
    """The files under ``root`` as (relative POSIX name, path), by the bytes of the name.

    Raises UnfitTree for links that leave the tree or lead nowhere, links to folders, pipes, sockets and
    devices, and for a tree without files; OSError for what can't be read.
    """
    if not root.is_dir():
        _check_kind(root.name, root)
        return [(root.name, root)]
    found = sorted(_walk(root, root.resolve(), ""), key=lambda entry: os.fsencode(entry[0]))
    if not found:
        raise UnfitTree(f"{root.name}: the folder holds no file")
    return found


def tree_digest(root: Path) -> str:
    """sha256, in hex, over one line per file, sorted by name: ``name NUL size NUL sha256-hex LF``.

    Raises UnfitTree as :func:`tree_files` does, and OSError.
    """
    return listing_digest(_entry(name, path) for name, path in tree_files(root))


def listing_digest(entries: Iterable[tuple[str, int, str]]) -> str:
    """The digest of a tree of which name, size and sha256 of every file are known."""
    whole = hashlib.sha256()
    for name, size, content in sorted(entries, key=lambda entry: os.fsencode(entry[0])):
        whole.update(b"%b\0%d\0%b\n" % (os.fsencode(name), size, content.encode()))
    return whole.hexdigest()


def _entry(name: str, path: Path) -> tuple[str, int, str]:
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
        return name, file.tell(), content


def _walk(folder: Path, top: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name, path = prefix + entry.name, folder / entry.name
            if entry.is_symlink():
                _check_link(name, path, top)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(path, top, f"{name}/")
            else:
                _check_kind(name, path)
                yield name, path


def _check_link(name: str, path: Path, top: Path) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UnfitTree(f"{name} is a link that leads nowhere; put the file itself there") from error
    if not target.is_relative_to(top):
        raise UnfitTree(f"{name} is a link that leaves the folder; copy the folder with `cp -rL` first")
    if target.is_dir():
        raise UnfitTree(f"{name} is a link to a folder; copy the folder with `cp -rL` first")


def _check_kind(name: str, path: Path) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "not a file")
        raise UnfitTree(f"{name} is {kind}; only files and folders can be kept")
