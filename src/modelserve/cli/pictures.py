"""Figures that a command draws into a file. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelserve.errors import InvalidInput, Unavailable


def figure(width: float, height: float) -> Any:
    """An empty one, in inches. Raises Unavailable without matplotlib."""
    try:
        from modelserve._kit.matplotlib import Figure
    except ImportError:
        raise Unavailable("--out needs matplotlib: pip install 'modelserve[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """The ending of ``path`` says its kind. Raises InvalidInput if it can't be written."""
    try:
        figure.savefig(path, dpi=100)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--out: got {str(path)!r}: {error}") from None
