"""Whether texts of different lengths share a run, padded to the longest: where no answer changes by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from modelserve.batching.sharing import Sharing
from modelserve.domain.inference import Tensors
from modelserve.runtimes.onnx import OnnxModel

from .conftest import Warm
from .drawing import graph, node


def test_but_not_by_lengths_where_padding_changes_answers(warm: Warm, tmp_path: Path) -> None:
    """The mean over all tokens, those of the padding among them."""
    folder = tmp_path / "mean"
    table = np.arange(1, 31, dtype=np.float32).reshape(10, 3)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["found"]),
        helper.make_node("ReduceMean", ["found"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
        helper.make_node("ReduceMax", ["mask"], ["one"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "one"], ["y"]),
    ]
    ins = [(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    graph(folder / "model.onnx", ins, [("y", TensorProto.FLOAT, ["batch", 3])], nodes, {"table": table})
    (folder / "config.json").write_text(json.dumps({"architectures": ["X"], "pad_token_id": 0}))
    (folder / "modelserve.yaml").write_text("task: tensor")
    loaded = warm(folder)
    assert (loaded.sharing.rows, loaded.sharing.lengths) == (True, False)
    assert loaded.remarks[0].startswith('only requests of one length share a run: output "y" changes')


TABLE = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)


EMBEDDED = [node("Gather", "table input_ids", "e"), node("Cast", "attention_mask", "mask", to=1)]


MEAN = [
    *EMBEDDED, node("Unsqueeze", "mask two", "mask3"), node("Mul", "e mask3", "used"),
    node("ReduceSum", "used one", "sum", keepdims=0), node("ReduceSum", "mask one", "count", keepdims=1),
    node("Div", "sum count", "mean"),
]  # fmt: skip


LAST = [
    *EMBEDDED, node("Gather", "attention_mask minus", "ends", axis=1),
    node("ReduceSum", "ends", "full", keepdims=0),
    node("Shape", "attention_mask", "shape"), node("Gather", "shape zero", "rows"),
    node("Equal", "full rows", "left"), node("ReduceSum", "attention_mask one", "count", keepdims=0),
    node("Sub", "count uno", "at"), node("Unsqueeze", "at one", "at2"),
    node("GatherND", "e at2", "by_count", batch_dims=1), node("Gather", "e minus", "by_end", axis=1),
    node("Where", "left by_end by_count", "y"),
]  # fmt: skip


NUMBERS = {
    "table": TABLE,
    "one": [1],
    "two": [2],
    "uno": np.array(1),
    "zero": np.array(0),
    "minus": np.array(-1),
    "zeroth": [0],
}


def text_model(folder: Path, nodes: Any, axes: Any) -> Path:
    used = {name for each in nodes for name in each.input}
    ins = [(name, TensorProto.INT64, ["batch", "seq"]) for name in ("input_ids", "attention_mask")]
    weights = {name: value for name, value in NUMBERS.items() if name in used}
    graph(folder / "model.onnx", ins, [("y", TensorProto.FLOAT, axes)], nodes, weights)
    (folder / "config.json").write_text(json.dumps({"architectures": ["X"], "pad_token_id": 0}))
    (folder / "modelserve.yaml").write_text("task: tensor")
    return folder


def tokens(count: int, mask: list[int] | None = None) -> Any:
    ids = np.arange(1, count + 1).reshape(1, count)
    return {"input_ids": ids, "attention_mask": np.array([mask or [1] * count])}


def test_not_where_one_text_decides_for_a_run_on_which_side_it_is_padded(warm: Warm, tmp_path: Path) -> None:
    """The usual pooling of the last token, which takes a run for padded on the left where all rows end with a
    token."""
    assert not warm(text_model(tmp_path / "last", LAST, ["batch", 8])).sharing.rows


def test_and_an_answer_keeps_its_width_where_that_is_not_the_length_of_the_text(
    warm: Warm, tmp_path: Path
) -> None:
    """The width is free in the graph, and by chance that of the longest text of the run."""
    wide = [
        *MEAN, node("Shape", "mean", "n", start=0, end=1), node("Unsqueeze", "minus zeroth", "rest"),
        node("Concat", "n rest", "shape", axis=0), node("Reshape", "mean shape", "y"),
    ]  # fmt: skip
    loaded = warm(text_model(tmp_path / "wide", wide, ["batch", "dim"]))
    assert loaded.sharing == Sharing(True, widths=frozenset({"y"}))
    rows = [tokens(8), tokens(6)]
    fits = [loaded.joiner.fit(row) for row in rows]
    assert fits[0].kind == fits[1].kind
    pieces = loaded.joiner.split(loaded.model.predict(loaded.joiner.assemble(rows, fits)), fits)
    for row, piece in zip(rows, pieces, strict=True):
        np.testing.assert_allclose(piece["y"], loaded.model.predict(row)["y"], rtol=1e-4)


def tagger(folder: Path, nodes: list[Any], *texts: str) -> Path:
    """A model for tokens of four words, with reference rows."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "Ada": 1, "met": 2, "Bob": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    ins = [(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    outs = [("logits", TensorProto.FLOAT, ["batch", "tokens", 3])]
    weights = {"table": np.arange(12, dtype=np.float32).reshape(4, 3), "two": [2], "nothing": np.float32(0)}
    graph(folder / "model.onnx", ins, outs, nodes, weights)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-A", "2": "I-A"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modelserve.yaml").write_text("reference: rows.jsonl")
    (folder / "rows.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return folder


SEEN = [
    node("Cast", "attention_mask", "seen", to=1),
    node("Unsqueeze", "seen two", "seen3"),
    node("Mul", "seen3 nothing", "zero"),
]


def test_of_texts_not_by_lengths_although_the_first_is_a_single_word(warm: Warm, tmp_path: Path) -> None:
    """The mean over all tokens; the reference rows are of one token and of five."""
    nodes = [
        *SEEN,
        node("Gather", "table input_ids", "found"),
        node("ReduceMean", "found", "mean", axes=[1], keepdims=1),
        node("Add", "zero mean", "spread"),
        node("Add", "spread found", "logits"),
    ]
    sharing = warm(tagger(tmp_path / "m", nodes, "Ada", "Ada met Bob met Ada")).sharing
    assert (sharing.rows, sharing.lengths) == (True, False)


def test_and_long_texts_are_tried_with_few_of_their_tokens(
    warm: Warm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a trial costs beside the runs of whole rows that the warm-up takes anyway."""
    shapes: list[tuple[int, ...]] = []
    predict = OnnxModel.predict

    def spy(model: OnnxModel, inputs: Tensors) -> Tensors:
        shapes.append(inputs["input_ids"].shape)
        return predict(model, inputs)

    monkeypatch.setattr(OnnxModel, "predict", spy)
    nodes = [*SEEN, node("Gather", "table input_ids", "found"), node("Add", "zero found", "logits")]
    sharing = warm(tagger(tmp_path / "m", nodes, "Ada met Bob " * 60), max_batch=8).sharing
    assert (sharing.rows, sharing.lengths) == (True, True)
    tried = [rows * length for rows, length in shapes if length < 180]
    assert 5 <= len(tried) <= 12
    assert sum(tried) <= 200, "about one long row"
