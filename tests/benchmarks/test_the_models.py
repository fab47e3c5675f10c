from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from benchmarks.serving.models import CLASSES, LABELS, MODELS, SIDE, TEXT_INPUTS, Bert, ResNet


def session(folder: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options)


def text(rows: int, length: int) -> dict[str, Any]:
    return {name: np.ones((rows, length), np.int64) for name in TEXT_INPUTS}


def test_take_texts_of_any_number_and_length(tmp_path: Path) -> None:
    Bert(layers=1, width=24, heads=2, inner=48)(tmp_path)
    running = session(tmp_path)
    for rows, length in ((1, 8), (3, 17)):
        (logits,) = running.run(None, text(rows, length))
        assert logits.shape == (rows, length, LABELS)


def test_ignore_what_is_masked(tmp_path: Path) -> None:
    Bert(layers=1, width=24, heads=2, inner=48)(tmp_path)
    running = session(tmp_path)
    padded = text(1, 8)
    padded["attention_mask"][:, 5:] = 0
    padded["input_ids"][:, 5:] = 77
    (whole,), (cut,) = running.run(None, padded), running.run(None, text(1, 5))
    np.testing.assert_allclose(whole[:, :5], cut, atol=1e-4)


def test_are_fused_as_an_export_of_torch_is(tmp_path: Path) -> None:
    Bert(layers=2, width=24, heads=2, inner=48)(tmp_path)
    session(tmp_path)
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["BiasGelu"] == 2
    assert kinds["SkipLayerNormalization"] == 4
    assert kinds["FusedMatMul"] == 2


def test_take_images(tmp_path: Path) -> None:
    for bottleneck in (False, True):
        ResNet((1, 1, 1, 1), bottleneck)(tmp_path)
        (logits,) = session(tmp_path).run(None, {"pixel_values": np.ones((2, 3, SIDE, SIDE), np.float32)})
        assert logits.shape == (2, CLASSES)
        assert np.isfinite(logits).all()


def test_are_the_same_in_every_run(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        MODELS["tiny"](tmp_path / name)
        contents.append((tmp_path / name / "model.onnx").read_bytes())
    assert contents[0] == contents[1]
