import os
import stat

import pytest

from modelserve._kit.files import cut_log, write_atomically


def test_content_mode_and_folders_are_as_told(tmp_path):
    path = tmp_path / "a" / "b" / "file.json"

    write_atomically(path, "naïve")

    assert path.read_bytes() == "naïve".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_atomically(path, b"\x00", mode=0o644)
    assert path.read_bytes() == b"\x00"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_keeps_the_old_content_and_leaves_nothing_beside_it(tmp_path, monkeypatch, broken):
    path = tmp_path / "file.json"
    write_atomically(path, "old")

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_that_grew_long_is_emptied_under_its_writer(tmp_path):
    log, aside = tmp_path / "x.log", tmp_path / "x.log.1"
    cut_log(log, 8)
    log.touch(mode=0o600)
    with log.open("a") as writer:
        for text in ("first...", "!", "second..."):
            writer.write(text)
            writer.flush()
            cut_log(log, 8)
        assert (log.read_text(), aside.read_text()) == ("", "second...")
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
