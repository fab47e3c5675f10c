"""An artefact in the store ..."""

import errno
import os
import shutil
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelserve.errors import InvalidPackage, InvalidSpec, NotFound, Unavailable
from modelserve.packages import digest
from modelserve.stores.blobs import local, open_blobs


@pytest.fixture
def root(tmp_path):
    """Where artefacts lie on this machine, whatever the store."""
    return tmp_path / "a store"


@pytest.fixture(params=["file", "s3"])
def url(request, root):
    if request.param == "file":
        return root.as_uri()
    request.getfixturevalue("s3")
    return "s3://models/a store"


@pytest.fixture
def blobs(url, root):
    return open_blobs(url, root)


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "onnx/model.onnx").write_bytes(b"weights" * 10_000)
    return folder


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def leftovers(root):
    return list(root.rglob("*.partial"))


def test_is_kept_under_its_digest(blobs, package, root):
    name, kept = blobs.put(package)
    assert name == digest(package)
    assert kept == root / "sha256" / name[:2] / name
    assert content(kept) == content(package)
    assert blobs.path(name) == kept


def test_is_read_only_all_through(blobs, package):
    _, kept = blobs.put(package)
    modes = [stat.S_IMODE(path.stat().st_mode) & 0o222 for path in (kept, *kept.rglob("*"))]
    assert modes == [0] * 4


def test_is_not_written_twice(blobs, package):
    _, kept = blobs.put(package)
    before = (kept / "config.json").stat()
    assert blobs.put(package) == (kept.name, kept)
    assert (kept / "config.json").stat().st_ino == before.st_ino


def test_outlives_its_source(blobs, package):
    name, kept = blobs.put(package)
    whole = content(package)
    shutil.rmtree(package)
    assert content(kept) == whole
    blobs.verify(name)


def test_of_a_bare_file_is_a_folder_with_that_file(blobs, tmp_path):
    (tmp_path / "relu.onnx").write_bytes(b"weights")
    name, kept = blobs.put(tmp_path / "relu.onnx")
    assert content(kept) == {"relu.onnx": b"weights"}
    assert digest(kept) == name


def test_holds_files_where_the_source_has_links(blobs, package):
    (package / "model.onnx").symlink_to("onnx/model.onnx")
    name, kept = blobs.put(package)
    assert not (kept / "model.onnx").is_symlink()
    blobs.verify(name)


def test_is_listed_by_its_last_use_and_can_be_evicted(blobs, package, tmp_path):
    old, _ = blobs.put(package)
    (tmp_path / "new.onnx").write_bytes(b"weights")
    new, kept = blobs.put(tmp_path / "new.onnx")
    assert [(a.digest, a.size) for a in blobs.artefacts()] == [(old, 70_002), (new, 7)]
    blobs.path(old)
    assert [a.digest for a in blobs.artefacts()] == [new, old]
    blobs.evict(new)
    blobs.evict(new)
    assert [a.digest for a in blobs.artefacts()] == [old]
    assert not kept.exists()


def test_that_was_never_put_is_not_found(blobs):
    with pytest.raises(NotFound, match="is not in the store"):
        blobs.path("0" * 64)


@pytest.mark.parametrize("name", ["", "..", "../../etc", "0" * 63, "0" * 64 + "\n", "Z" * 64])
def test_has_a_digest_and_nothing_else_for_a_name(blobs, name):
    with pytest.raises(NotFound):
        blobs.path(name)


def test_that_has_rotted_is_found_out(blobs, package):
    name, kept = blobs.put(package)
    (kept / "config.json").chmod(0o644)
    (kept / "config.json").write_text("{ }")
    with pytest.raises(InvalidPackage, match=f"artefact {name}: its files now give"):
        blobs.verify(name)


@pytest.mark.parametrize("target", ["/etc/hostname", "../.."])
def test_never_holds_what_lies_outside_of_the_source(blobs, package, root, target):
    (package / "link").symlink_to(target)
    with pytest.raises(InvalidPackage, match="link is a link that leaves the folder"):
        blobs.put(package)
    assert content(root) == {}


def test_of_a_source_that_is_not_there_is_refused(blobs, tmp_path):
    with pytest.raises(InvalidPackage, match="nowhere: can't be read: No such file"):
        blobs.put(tmp_path / "nowhere")


class TestWhileItIsWritten:
    @pytest.fixture
    def meddle(self, monkeypatch):
        """Do something after each file that is copied."""

        def with_action(action):
            honest = shutil.copyfile

            def copy(source, target):
                honest(source, target)
                action(Path(source), Path(target))

            monkeypatch.setattr(local.shutil, "copyfile", copy)

        return with_action

    def test_the_source_must_not_change(self, blobs, package, root, meddle):
        meddle(lambda source, target: (package / "onnx/model.onnx").write_bytes(b"new weights"))
        with pytest.raises(InvalidPackage, match="package: changed while it was copied"):
            blobs.put(package)
        assert content(root) == {}
        assert leftovers(root) == []

    def test_the_source_must_not_go_away(self, blobs, package, root, meddle):
        meddle(lambda source, target: shutil.rmtree(package / "onnx", ignore_errors=True))
        with pytest.raises(InvalidPackage, match="package: changed while it was copied"):
            blobs.put(package)
        assert leftovers(root) == []

    def test_the_disk_may_fill_up(self, blobs, package, root, meddle):
        def full(source, target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

        meddle(full)
        with pytest.raises(Unavailable, match="can't be written: No space left on device"):
            blobs.put(package)
        assert content(root) == {}
        assert leftovers(root) == []

    def test_nobody_sees_it(self, blobs, package, meddle):
        name, seen = digest(package), []

        def look(source, target):
            with pytest.raises(NotFound):
                blobs.path(name)
            seen.append(target)

        meddle(look)
        blobs.put(package)
        assert len(seen) == 2

    def test_a_second_writer_may_come_first(self, blobs, package, root, monkeypatch):
        """Both have copied before either renames: the later one finds the name taken."""
        met = threading.Barrier(2)
        honest = local._rename

        def rename(partial, kept):
            met.wait(timeout=30)
            honest(partial, kept)

        monkeypatch.setattr(local, "_rename", rename)
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(blobs.put, [package, package]))
        assert results[0] == results[1]
        blobs.verify(results[0][0])
        assert leftovers(root) == []

    def test_a_killed_writer_leaves_what_the_next_start_clears(self, blobs, package, root):
        name, kept = blobs.put(package)
        old, fresh = (kept.parent / f".{name}.{tag}.partial" for tag in ("old", "fresh"))
        for partial in (old, fresh):
            (partial / "sub").mkdir(parents=True)
            (partial / "sub/file").write_bytes(b"half")
        long_ago = time.time() - local.ABANDONED - 1
        for path in (*old.rglob("*"), old):
            os.utime(path, (long_ago, long_ago))
        os.utime(fresh, (long_ago, long_ago))
        local.LocalBlobs(root)
        assert leftovers(root) == [fresh]
        blobs.verify(name)


class TestItsStore:
    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("gs://bucket/prefix", "'gs' is not known; use file:///absolute/folder or s3://bucket/prefix"),
            ("/srv/artefacts", "no scheme is not known; use file:///absolute/folder"),
            ("s3://bucket/prefix", "needs a bucket, and a folder for copies here"),
            ("s3://key:secret@bucket/prefix", "more than a place"),
            ("file://artefacts", "write an absolute path, such as file:///srv/artefacts"),
            ("file:artefacts", "write an absolute path"),
            ("file:///srv/a?b=c", "more than a place"),
        ],
    )
    def test_is_named_by_a_url_with_a_known_scheme(self, url, said):
        with pytest.raises(InvalidSpec) as caught:
            open_blobs(url)
        assert said in caught.value.message

    def test_must_be_a_folder_that_can_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(Unavailable, match="can't be written: Not a directory"):
            open_blobs((tmp_path / "file" / "store").as_uri())
