"""A repository of the Hugging Face hub ..."""

import hashlib
import json
from collections import deque

import pytest

from modelserve.errors import InvalidSpec, Unavailable
from modelserve.sources.huggingface import needed

COMMIT = "c" * 40
WEIGHTS = b"weights" * 100_000
FILES = {
    "config.json": b'{"a": 1}',
    "tokenizer.json": b"{}",
    "onnx/model.onnx": WEIGHTS,
    "onnx/model.onnx_data": b"more",
    "onnx/model_quantized.onnx": b"other",
    "pytorch_model.bin": b"pickle",
    "model.safetensors": b"other weights",
    "README.md": b"# hi",
}


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(name, data):
    found = {"rfilename": name, "size": len(data), "blobId": git_id(data)}
    if name.endswith((".onnx", ".onnx_data")):
        found["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return found


@pytest.fixture
def hub(web, monkeypatch, here):
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def publish(files=FILES, repo="org/bert", revision="main"):
        told = {"sha": COMMIT, "siblings": [entry(*file) for file in files.items()]}
        web.put(f"/api/models/{repo}/revision/{revision}", json.dumps(told).encode())
        for name, data in files.items():
            web.put(f"/{repo}/resolve/{COMMIT}/{name}", data)

    web.publish = publish
    publish()
    here.open(trusted=())
    return web


def test_gives_what_a_package_needs_and_no_more(here, hub, tools):
    wanted = {
        "config.json", "tokenizer.json", "README.md", "onnx/model.onnx", "onnx/model.onnx_data",
    }  # fmt: skip
    assert tools.content(here.fetch("hf://org/bert")) == {name: FILES[name] for name in wanted}


def test_is_known_by_its_commit(here, hub):
    assert here.version("hf://org/bert") == COMMIT


def test_may_be_asked_for_at_a_revision(here, hub, tools):
    hub.publish({"model.onnx": b"old"}, revision="v1")
    assert tools.content(here.fetch("hf://org/bert@v1")) == {"model.onnx": b"old"}


def test_goes_on_where_the_connection_dropped(here, hub, tools):
    path = f"/org/bert/resolve/{COMMIT}/onnx/model.onnx"
    hub.resources[path].cuts = deque([300_000])
    assert tools.content(here.fetch("hf://org/bert"))["onnx/model.onnx"] == WEIGHTS
    assert hub.gets(path)[-1]["range"] == "bytes=300000-"


@pytest.mark.parametrize("name", ["onnx/model.onnx", "config.json"])
def test_that_sends_other_content_than_it_lists_is_refused(here, hub, name):
    hub.resources[f"/org/bert/resolve/{COMMIT}/{name}"].content = bytes(len(FILES[name]))
    with pytest.raises(InvalidSpec, match="was promised"):
        here.fetch("hf://org/bert")


def test_gets_the_token_and_nobody_else_does(here, hub, hosts, tools, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with hosts.serving(hosts.Host()) as cdn:
        cdn.put("/blob", WEIGHTS)
        path = f"/org/bert/resolve/{COMMIT}/onnx/model.onnx"
        hub.put(path, status=302, location=f"{cdn.url}/blob")
        here.open(trusted=(f"127.0.0.1:{cdn.port}",))
        with caplog.at_level("DEBUG"):
            assert tools.content(here.fetch("hf://org/bert"))["onnx/model.onnx"] == WEIGHTS
        assert {headers.get("authorization") for _, _, headers in hub.asked} == {"Bearer hf_secret"}
        assert [headers.get("authorization") for _, _, headers in cdn.asked] == [None]
    assert "hf_secret" not in "".join(
        record.getMessage() for record in caplog.records if record.name[:5] == "model"
    )


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("hf://org/other", "no org/other at main for us: nothing is there .*HF_TOKEN"),
        ("hf://org/bert@v9", "no org/bert at v9"),
        ("hf://org/bert/extra", "write hf://organisation/name"),
        ("hf://org/../bert", "write hf://organisation/name"),
        ("hf://", "write hf://organisation/name"),
    ],
)
def test_that_is_not_there_says_so(here, hub, uri, said):
    with pytest.raises(InvalidSpec, match=said):
        here.fetch(uri)


def test_without_onnx_says_how_to_make_some(here, hub):
    hub.publish({"config.json": b"{}", "pytorch_model.bin": b"x"})
    with pytest.raises(InvalidSpec, match=r"no \.onnx file; export one with `optimum-cli"):
        here.fetch("hf://org/bert")


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"sha": "main", "siblings": []}'])
def test_with_an_answer_that_makes_no_sense_is_refused(here, hub, answer):
    hub.resources["/api/models/org/bert/revision/main"].content = answer
    with pytest.raises((InvalidSpec, Unavailable), match=r"spec\.model\.uri: .*hub"):
        here.fetch("hf://org/bert")


def test_can_not_write_outside_of_its_folder(here, hub):
    hub.publish({"model.onnx": b"x", "tokenizer/../../../x.json": b"y"})
    with pytest.raises(InvalidSpec, match="plain relative name"):
        here.fetch("hf://org/bert")


def test_with_onnx_files_at_the_top_gives_them_all():
    assert needed(["a.onnx", "b/c.onnx", "a.onnx.data", "x.bin"]) == ["a.onnx", "a.onnx.data"]
