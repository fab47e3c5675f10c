"""The folder of a server's processes, and what becomes of the folders of those that were killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from modelserve.serving.workers.folder import PREFIX, STALE, HeldFolder


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: Any) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def age(path: Path) -> None:
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 2 * STALE))


def test_nobody_else_may_look_into_it() -> None:
    assert HeldFolder().folder.path.stat().st_mode & 0o777 == 0o700


def test_it_is_gone_when_the_server_has_stopped(root: Path) -> None:
    HeldFolder().remove()
    assert list(root.iterdir()) == []


def test_one_that_nobody_holds_is_removed_by_the_next_server(root: Path) -> None:
    left = root / f"{PREFIX}left"
    left.mkdir()
    (left / "lock").touch()
    age(left)
    held = HeldFolder()
    assert list(root.iterdir()) == [held.folder.path]


def test_one_that_is_held_or_fresh_stays(root: Path) -> None:
    held = HeldFolder()
    age(held.folder.path)
    (root / f"{PREFIX}fresh").mkdir()
    HeldFolder()
    assert len(list(root.iterdir())) == 3
