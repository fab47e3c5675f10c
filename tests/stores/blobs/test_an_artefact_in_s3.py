"""An artefact in S3 ..."""

from collections import deque

import pytest

from modelserve._kit.downloads import Patience
from modelserve.errors import InvalidPackage, NotFound, Unavailable
from modelserve.stores.blobs import open_blobs
from modelserve.stores.blobs.s3 import S3Blobs

WEIGHTS = bytes(range(256)) * 20_000


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "onnx/model.onnx").write_bytes(WEIGHTS)
    return folder


@pytest.fixture
def machine(s3, tmp_path):
    """Another machine with the same store."""

    def arrive(name, patience=None):
        return S3Blobs("models", "store", tmp_path / name, patience)

    return arrive


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def keys(s3):
    return [found["Key"] for found in s3.list_objects_v2(Bucket="models").get("Contents", [])]


def test_lies_under_its_digest_with_a_list_of_its_files(s3, machine, package):
    digest, _ = machine("a").put(package)
    place = f"store/sha256/{digest[:2]}/{digest}"
    assert keys(s3) == [f"{place}.json", f"{place}/config.json", f"{place}/onnx/model.onnx"]


def test_is_there_on_every_machine(machine, package):
    digest, kept = machine("a").put(package)
    brought = machine("b").path(digest)
    assert content(brought) == content(kept)
    assert brought != kept


def test_comes_back_after_it_was_evicted(machine, package):
    blobs = machine("a")
    digest, kept = blobs.put(package)
    blobs.evict(digest)
    assert not kept.exists()
    assert content(blobs.path(digest)) == content(package)


def test_goes_on_where_a_transfer_broke(s3_server, hosts, machine, package, monkeypatch):
    digest, _ = machine("a").put(package)
    proxy = hosts.CuttingProxy(int(s3_server.rpartition(":")[2]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    proxy.cuts = deque([2_000_000, 1_000_000])
    quick = Patience(tries=6, first=0.001, longest=0.002)
    assert content(machine("b", quick).path(digest)) == content(package)
    assert proxy.connections >= 3
    proxy.close()


def test_is_not_there_before_its_list_is(s3, machine, package):
    digest, _ = machine("a").put(package)
    s3.delete_object(Bucket="models", Key=f"store/sha256/{digest[:2]}/{digest}.json")
    with pytest.raises(NotFound):
        machine("b").path(digest)
    machine("a").put(package)
    assert machine("b").path(digest)


def test_that_was_changed_in_the_bucket_is_found_out(s3, machine, package):
    blobs = machine("a")
    digest, _ = blobs.put(package)
    blobs.verify(digest)
    s3.put_object(Bucket="models", Key=f"store/sha256/{digest[:2]}/{digest}/config.json", Body=b"[]")
    with pytest.raises(InvalidPackage, match="its files now give"):
        blobs.verify(digest)
    with pytest.raises(Unavailable, match="can't be read: its sha256 is"):
        machine("b").path(digest)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_whose_list_was_forged_writes_nothing_outside(s3, machine, package, name, tmp_path):
    digest, _ = machine("a").put(package)
    key = f"store/sha256/{digest[:2]}/{digest}.json"
    forged = f'{{"files": [{{"name": "{name}", "size": 1, "sha256": "{"0" * 64}"}}]}}'
    s3.put_object(Bucket="models", Key=key, Body=forged.encode())
    with pytest.raises(Unavailable, match="names a file outside of it"):
        machine("b").path(digest)


def test_is_unavailable_while_s3_is(machine, package, monkeypatch, tmp_path):
    digest, _ = machine("a").put(package)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    away = machine("b", Patience(tries=1))
    with pytest.raises(
        Unavailable, match="artefact store s3://models/store/: can't be read: Could not connect"
    ):
        away.path(digest)
    with pytest.raises(Unavailable, match="can't be written"):
        away.put(package)


def test_needs_boto3(s3, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(Unavailable, match=r"pip install 'modelserve\[s3\]'"):
        open_blobs("s3://models/store", tmp_path)
