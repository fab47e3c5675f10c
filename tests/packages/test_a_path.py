"""A path that is opened ..."""

import os
import socket
import sys
from pathlib import Path

import pytest

from modelserve.domain.models import Runtime
from modelserve.errors import InvalidPackage, Unavailable
from modelserve.packages import digest, open_package


def refusal(path):
    with pytest.raises(InvalidPackage) as caught:
        open_package(path)
    return caught.value.message


def test_must_exist(tmp_path):
    assert refusal(tmp_path / "nothing").endswith("nothing: there is no such file or folder")


def test_must_look_like_a_package(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x")
    message = refusal(tmp_path)
    assert "not a model package (weights alone are no model; export it with `optimum-cli" in message
    assert (
        "; give a Hugging Face folder (config.json and model.onnx), an MLflow model, a model file" in message
    )
    assert message.endswith("; found model.safetensors")


def test_must_not_be_an_empty_folder(tmp_path):
    assert refusal(tmp_path).endswith("; the folder is empty")


def test_may_be_a_link_to_a_package(tmp_path, save_relu):
    save_relu(tmp_path / "v1" / "model.onnx")
    (tmp_path / "current").symlink_to("v1")
    assert open_package(tmp_path / "current").digest == open_package(tmp_path / "v1").digest


def test_needs_the_engine_to_be_read(tmp_path, save_relu, monkeypatch):
    path = save_relu(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "modelserve._kit.onnxruntime", raising=False)
    with pytest.raises(Unavailable, match=r"pip install 'modelserve\[onnx\]'"):
        open_package(path)


class TestDigest:
    @pytest.fixture
    def tree(self, tmp_path):
        (tmp_path / "tree/sub").mkdir(parents=True)
        (tmp_path / "tree/a").write_bytes(b"one")
        (tmp_path / "tree/sub/b").write_bytes(b"two")
        return tmp_path / "tree"

    def test_is_this_for_this_tree(self, tree):
        """Pinned: a change would make every stored artefact unknown."""
        assert digest(tree) == "9db24c81141f5f8f6fb60865879d5d2754d79e4deebf5b43f9fed4e03678bbcb"

    @pytest.mark.parametrize(
        "change",
        [
            lambda tree: (tree / "a").write_bytes(b"onE"),
            lambda tree: (tree / "a").rename(tree / "A"),
            lambda tree: (tree / "sub").rename(tree / "bus"),
            lambda tree: (tree / ".hidden").write_bytes(b""),
            lambda tree: (tree / "sub/b").rename(tree / "b"),
        ],
    )
    def test_changes_with_names_and_contents(self, tree, change):
        before = digest(tree)
        change(tree)
        assert digest(tree) != before

    def test_does_not_change_with_times_and_modes(self, tree):
        before = digest(tree)
        os.utime(tree / "a", (0, 0))
        (tree / "a").chmod(0o400)
        assert digest(tree) == before

    def test_can_not_be_fooled_by_moving_a_border(self, tmp_path):
        for name, files in {"one": {"ab": b"c"}, "two": {"a": b"bc"}}.items():
            (tmp_path / name).mkdir()
            for file, content in files.items():
                (tmp_path / name / file).write_bytes(content)
        assert digest(tmp_path / "one") != digest(tmp_path / "two")

    def test_follows_a_link_inside(self, tree):
        before = digest(tree)
        (tree / "sub/b").rename(tree / "c")
        (tree / "sub/b").symlink_to("../c")
        linked = digest(tree)
        (tree / "sub/b").unlink()
        (tree / "sub/b").write_bytes(b"two")
        assert digest(tree) == linked != before

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ("/etc/hostname", "link.x is a link that leaves the folder"),
            ("../../", "link.x is a link that leaves the folder"),
            ("nowhere", "link.x is a link that leads nowhere"),
            ("link.x", "link.x is a link that leads nowhere"),
            ("sub", "link.x is a link to a folder"),
        ],
    )
    def test_is_refused_for_other_links(self, tree, target, said):
        (tree / "link.x").symlink_to(target)
        with pytest.raises(InvalidPackage, match=said):
            digest(tree)

    def test_is_refused_for_a_pipe(self, tree):
        os.mkfifo(tree / "pipe")
        with pytest.raises(InvalidPackage, match="pipe is a named pipe; only files"):
            digest(tree)

    def test_is_refused_for_a_socket(self, tree, monkeypatch):
        monkeypatch.chdir(tree)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("ear")
            with pytest.raises(InvalidPackage, match="ear is a socket"):
                digest(tree)

    def test_is_refused_for_a_device(self):
        with pytest.raises(InvalidPackage, match="null is a device"):
            digest(Path(os.devnull))

    def test_is_refused_for_an_empty_folder(self, tmp_path):
        (tmp_path / "void/within").mkdir(parents=True)
        with pytest.raises(InvalidPackage, match="the folder holds no file"):
            digest(tmp_path / "void")


class TestForARuntime:
    def test_holds_what_that_runs(self, tmp_path, save_relu):
        package = open_package(save_relu(tmp_path / "model.onnx"), runtime=Runtime.ONNX)
        assert package.runtime is Runtime.ONNX

    def test_holds_nothing_that_another_runs(self, tmp_path, save_relu):
        path = save_relu(tmp_path / "model.onnx")
        with pytest.raises(InvalidPackage, match="the spec asks for runtime torch, but this is"):
            open_package(path, runtime=Runtime.TORCH)
