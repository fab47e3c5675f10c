"""A graph that ONNX Runtime has optimised ..."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidPackage
from modelserve.runtimes.graphs import GRAPH, Graphs
from modelserve.runtimes.onnx import OnnxRuntime


@pytest.fixture
def large(package: Callable[..., ModelPackage]) -> ModelPackage:
    """y = relu(x w) 2 3, with a w of 2 MB: the engine folds the constants."""
    x, y = TensorSpec("x", DataType.FP32, (-1, 512)), TensorSpec("y", DataType.FP32, (-1, 1024))
    nodes = [
        helper.make_node("Mul", ["two", "three"], ["six"]),
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Relu", ["xw"], ["r"]),
        helper.make_node("Mul", ["r", "six"], ["y"]),
    ]
    w = np.linspace(-1, 1, 512 * 1024, dtype=np.float32).reshape(512, 1024)
    constants = {"two": np.array(2, np.float32), "three": np.array(3, np.float32), "w": w}
    return package(nodes, [x], [y], constants)


def load(package: ModelPackage, graphs: Path | None, **changes: Any) -> Any:
    return OnnxRuntime(graphs=graphs, **changes).load(package)


def answer(model: Any) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(3, 512)).astype(np.float32)
    return model.predict({"x": x})["y"]


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*/{GRAPH}"))


def test_is_kept_and_answers_the_same(large: ModelPackage, tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    folder.mkdir()
    expected = answer(load(large, None))
    np.testing.assert_array_equal(answer(load(large, folder)), expected)
    (graph,) = kept(folder)
    assert len(onnx.load(graph, load_external_data=False).graph.node) < 4, "the constants are folded"
    np.testing.assert_array_equal(answer(load(large, folder)), expected)
    assert kept(folder) == [graph]


def test_is_what_is_loaded_the_next_time(large: ModelPackage, tmp_path: Path) -> None:
    """Shown by another graph in its place: what answers is that."""
    folder = tmp_path / "graphs"
    before = answer(load(large, folder))
    (graph,) = kept(folder)
    model = onnx.load(graph)
    for initializer in model.graph.initializer:
        values = onnx.numpy_helper.to_array(initializer)
        if values.size == 1:
            initializer.CopyFrom(onnx.numpy_helper.from_array(2 * values, initializer.name))
    onnx.save(model, graph)
    np.testing.assert_allclose(answer(load(large, folder)), 2 * before)


@pytest.mark.parametrize("content", [b"", b"no graph", None], ids=["empty", "nonsense", "without weights"])
def test_is_made_again_where_it_is_broken(large: ModelPackage, tmp_path: Path, content: bytes | None) -> None:
    folder = tmp_path / "graphs"
    expected = answer(load(large, folder))
    (graph,) = kept(folder)
    if content is None:
        (graph.parent / "weights.bin").unlink()
    else:
        graph.write_bytes(content)
    np.testing.assert_array_equal(answer(load(large, folder)), expected)
    np.testing.assert_array_equal(answer(load(large, folder)), expected)
    assert (graph.parent / "weights.bin").is_file()


def test_is_of_one_model_and_one_engine(tmp_path: Path) -> None:
    graphs = Graphs(tmp_path)
    assert graphs.find("a", "engine 1") is None
    with graphs.making("a", "engine 1") as place:
        assert place is not None
        place.write_bytes(b"graph")
    assert graphs.find("a", "engine 1") is not None
    assert graphs.find("a", "engine 2") is None
    assert graphs.find("b", "engine 1") is None


def test_is_not_kept_if_the_engine_refused(large: ModelPackage, tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    large.model_file.write_bytes(large.model_file.read_bytes()[: 2 * 1024**2 - 4096])
    with pytest.raises(InvalidPackage, match="ONNX Runtime refuses it"):
        load(large, folder)
    assert list(folder.iterdir()) == []


def test_makes_room_by_what_was_used_longest_ago(tmp_path: Path) -> None:
    graphs = Graphs(tmp_path, most=250)
    for age, digest in enumerate("abc"):
        with graphs.making(digest, "engine") as place:
            assert place is not None
            place.write_bytes(bytes(100))
        found = graphs.find(digest, "engine")
        assert found is not None
        os.utime(found.parent, (age, age))
    found = graphs.find("b", "engine")
    with graphs.making("d", "engine") as place:
        assert place is not None
        place.write_bytes(bytes(100))
    assert [digest for digest in "abcd" if graphs.find(digest, "engine")] == ["b", "d"]


def test_is_not_kept_where_nothing_can_be_written(large: ModelPackage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    expected = answer(load(large, None))
    np.testing.assert_array_equal(answer(load(large, tmp_path / "file")), expected)
