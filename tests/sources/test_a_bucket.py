"""A model in S3 ..."""

import hashlib
from collections import deque

import pytest

from modelserve._kit.downloads import Patience
from modelserve.errors import InvalidSpec, Unavailable

CONTENT = bytes(range(256)) * 20_000  # 5,120,000 bytes
PACKAGE = {"config.json": b"{}", "onnx/model.onnx": CONTENT}


@pytest.fixture
def folder(s3):
    for name, data in PACKAGE.items():
        s3.put_object(Bucket="models", Key=f"bert/1/{name}", Body=data)
    s3.put_object(Bucket="models", Key="bert/10/config.json", Body=b"another")
    return "s3://models/bert/1"


@pytest.fixture
def proxy(s3, s3_server, hosts, monkeypatch):
    before = hosts.CuttingProxy(int(s3_server.rpartition(":")[2]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{before.port}")
    yield before
    before.close()


def test_is_all_that_lies_in_its_folder(here, folder, tools):
    assert tools.content(here.fetch(folder)) == PACKAGE


def test_may_be_one_object(here, s3, tools):
    s3.put_object(Bucket="models", Key="m.onnx", Body=CONTENT)
    assert tools.content(here.fetch("s3://models/m.onnx")) == {"m.onnx": CONTENT}


def test_may_be_an_archive(here, s3, tools):
    s3.put_object(Bucket="models", Key="p.tar.gz", Body=tools.tar_gz(PACKAGE))
    assert tools.content(here.fetch("s3://models/p.tar.gz")) == PACKAGE


def test_has_a_version_as_long_as_no_object_changes(here, s3, folder):
    first = here.version(folder)
    assert here.version(folder) == first
    s3.put_object(Bucket="models", Key="bert/1/config.json", Body=b"[]")
    assert here.version(folder) != first


def test_goes_on_where_the_connection_broke(here, proxy, folder, tools):
    proxy.cuts = deque([None, None, 2_000_000, 1_500_000])
    assert tools.content(here.fetch(folder)) == PACKAGE
    assert proxy.connections >= 4


def test_goes_on_after_a_stall(here, proxy, folder, tools):
    here.open(patience=Patience(tries=4, first=0.001, stall=0.5))
    proxy.stall.set()
    proxy.cuts = deque([None, None, 2_000_000])
    assert tools.content(here.fetch(folder)) == PACKAGE


def test_that_breaks_again_and_again_goes_on_after_a_restart(here, proxy, folder, tools):
    here.open(patience=Patience(tries=1, first=0.001))
    proxy.cuts = deque([None, None, 2_000_000])
    with pytest.raises(Unavailable, match=r"spec\.model\.uri: got 's3://models/bert/1': "):
        here.fetch(folder)
    (part,) = here.folder.rglob("*.part")
    assert part.stat().st_size > 0
    here.open()
    proxy.cuts.clear()
    assert tools.content(here.fetch(folder)) == PACKAGE


def test_that_changes_half_way_is_never_a_mixture(here, s3, proxy, folder, tools, monkeypatch):
    here.open(patience=Patience(tries=1, first=0.001))
    proxy.cuts = deque([None, None, 2_000_000])
    with pytest.raises(Unavailable):
        here.fetch(folder)
    s3.put_object(Bucket="models", Key="bert/1/onnx/model.onnx", Body=CONTENT[::-1])
    here.open()
    assert tools.content(here.fetch(folder)) == PACKAGE | {"onnx/model.onnx": CONTENT[::-1]}


def test_may_be_pinned_by_the_hash_of_its_file(here, s3, tools):
    s3.put_object(Bucket="models", Key="m.onnx", Body=CONTENT)
    good = hashlib.sha256(CONTENT).hexdigest()
    assert tools.content(here.fetch(f"s3://models/m.onnx#sha256={good}")) == {"m.onnx": CONTENT}
    with pytest.raises(InvalidSpec, match="was promised"):
        here.fetch(f"s3://models/m.onnx#sha256={'0' * 64}")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://models/nothing", "nothing lies under 'nothing/'"),
        ("s3://models/nothing.onnx", "no such object"),
        ("s3://nowhere/x", "no such bucket"),
        (f"s3://models/bert/1#sha256={'0' * 64}", "pins one file"),
    ],
)
def test_that_is_not_there_says_what_is_missing(here, folder, uri, said):
    with pytest.raises(InvalidSpec, match=said):
        here.fetch(uri)


def test_without_credentials_says_how_to_give_them(here, folder, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Unavailable, match="there are no credentials: set AWS_ACCESS_KEY_ID"):
        here.fetch(folder)


def test_of_too_many_files_is_refused(here, folder):
    here.open(max_files=1)
    with pytest.raises(InvalidSpec, match="more than 1 files"):
        here.fetch(folder)


def test_out_of_reach_is_unavailable(here, s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    here.open(patience=Patience(tries=2, first=0.001))
    with pytest.raises(Unavailable, match=r"spec\.model\.uri: .*Could not connect"):
        here.fetch("s3://models/x")


def test_without_boto3_says_what_to_install(here, folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(Unavailable, match=r"pip install 'modelserve\[s3\]'"):
        here.fetch(folder)
