"""A byte order mark, as PowerShell and .NET write it, is no part of a file's or a pipe's text."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from modelserve.cli import outcomes, services

READERS: list[Callable[[Path], str]] = [outcomes._text, lambda file: services._read(file)[0]]
TEXT = '{\t"metadata": {"name": "é"}}'


@pytest.mark.parametrize("read", READERS, ids=["outcomes", "specs"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_read_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], str], mark: str
) -> None:
    file = tmp_path / "file.json"
    file.write_text(mark + TEXT, encoding="utf-8")
    assert read(file) == TEXT
    monkeypatch.setattr("sys.stdin", io.StringIO(mark + TEXT))
    assert read(Path("-")) == TEXT
