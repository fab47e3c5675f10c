"""Reading the small files of a package, with errors that name the file, the line and what it really is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelserve.errors import InvalidPackage

MAX_BYTES = 256 * 1024 * 1024
"""Largest JSON file that is read: the biggest tokenizers of the field are below 50 MB."""


def mistaken(head: bytes) -> str | None:
    """What a download left in place of the file, judged by its first bytes; None if it looks honest."""
    text = head.lstrip()[:64].lower()
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; run `git lfs pull` and try again"
    if text.startswith((b"<!doctype html", b"<html")):
        return "is an HTML page, most likely the error page of a download; download the file again"
    return None


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """The whole file as UTF-8. Raises InvalidPackage, or OSError where it can't be read."""
    if path.stat().st_size > max_bytes:
        raise InvalidPackage(f"{path.name}: has {path.stat().st_size} bytes; at most {max_bytes} are read")
    content = path.read_bytes()
    if what := mistaken(content[:256]):
        raise InvalidPackage(f"{path.name}: {what}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidPackage(
            f"{path.name}: byte {error.start} is not UTF-8; save the file as UTF-8 text"
        ) from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object. Raises InvalidPackage that names the line and column."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InvalidPackage(
            f"{path.name}: not JSON at line {error.lineno} column {error.colno}: {error.msg}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise InvalidPackage(f"{path.name}: not usable JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidPackage(f"{path.name}: holds a JSON {type(value).__name__}; an object {{...}} is wanted")
    return value


def inside(folder: Path, name: str) -> Path | None:
    """The file called ``name`` under ``folder``, or None if that leads elsewhere or is no file."""
    path = folder / name
    fits = "\0" not in name and path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    return path if fits else None
