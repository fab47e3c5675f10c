"""Files that are either whole or not there, and logs that do not grow for ever.

A reader of a path written here sees the old content or the new, never a part of one, also after a power cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Write beside ``path``, flush to the disk, then rename over it. Folders above are made as needed.

    Raises OSError; ``path`` is as it was then, and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync_folder(path.parent)


def cut_log(log: Path, limit: int) -> None:
    """Once a log has more bytes than ``limit``: copy it to ``NAME.log.1`` and empty it.

    For logs whose writer appends and can't be told to open another file. Raises OSError.
    """
    if log.exists() and log.stat().st_size > limit:
        shutil.copy(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
