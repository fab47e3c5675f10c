"""A text model in a real server process: texts in its own language, up to the length that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

LABELS = ("O", "B-LOC", "I-LOC")
PIECES = (
    "<s>", "<pad>", "</s>", "<unk>", "▁", "今天", "北京", "天气", "東京", "我住在", "▁in", "▁Berlin",
    "Berlin", '▁"', '"', ".", "▁(", ")", "、",
)  # fmt: skip
PLACES = ("北京", "東京", "▁Berlin", "Berlin")
PAD = 3


def tokenizer() -> Tokenizer:
    """As XLM-R's."""
    scores = [(piece, 0.0 if piece.startswith("<") else -len(piece) / 100 - 2) for piece in PIECES]
    made = Tokenizer(models.Unigram(scores, unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    return made


def save(folder: Path, config: Mapping[str, Any], positions: int) -> Path:
    """A model that looks each token up in a table, and its position, from ``PAD + 1`` on, in another."""
    folder.mkdir()
    table = np.tile(np.array([[5, 0, 0]], np.float32), (len(PIECES), 1))
    table[[PIECES.index(place) for place in PLACES]] = [0, 9, 0]
    weights = {
        "table": table, "places": np.zeros((positions, 3), np.float32),
        "one": np.array(1), "skip": np.array(PAD),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("CumSum", ["attention_mask", "one"], ["counted"]),
        helper.make_node("Add", ["counted", "skip"], ["at"]),
        helper.make_node("Gather", ["places", "at"], ["placed"]),
        helper.make_node("Add", ["tokens", "placed"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "lookup",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "tokens", 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    tokenizer().save(str(folder / "tokenizer.json"))
    labels = {str(number): label for number, label in enumerate(LABELS)}
    (folder / "config.json").write_text(json.dumps({"id2label": labels, "pad_token_id": PAD, **config}))
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, start_shared: Any) -> str:
    config = {"architectures": ["XLMRobertaForTokenClassification"], "max_position_embeddings": 514}
    folder = save(tmp_path_factory.mktemp("models") / "xlmr", config, 514)
    ready: str = start_shared(folder, service="xlmr").ready()
    return ready


def ask(url: str, text: str) -> httpx.Response:
    return httpx.post(f"{url}/predict/xlmr", json={"text": text}, timeout=30)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("今天北京天气", [("北京", 2, 4)]),
        ("今天北京天气怎么样?", [("北京", 2, 4)]),
        ("我住在北京", [("北京", 3, 5)]),
        ("東京、北京", [("東京", 0, 2), ("北京", 3, 5)]),
        ('in "Berlin".', [("Berlin", 4, 10)]),
        ("in Berlin.", [("Berlin", 3, 9)]),
        ("in (Berlin)", [("Berlin", 4, 10)]),
    ],
)
def test_entities_are_told_without_what_is_glued_to_them(
    url: str, text: str, places: list[tuple[str, int, int]]
) -> None:
    """facebookresearch/XLM#287"""
    found = ask(url, text).json()["entities"]
    assert [(each["text"], each["start"], each["end"]) for each in found] == places


@pytest.mark.parametrize(("words", "status"), [(508, 200), (509, 400), (510, 400), (511, 400)])
def test_a_text_is_refused_as_soon_as_the_model_has_no_position_for_it(
    url: str, words: int, status: int
) -> None:
    """Two tokens more than words. rinnakk/japanese-pretrained-models#3"""
    answer = ask(url, " ".join(["Berlin"] * words))
    assert answer.status_code == status
    if status == 400:
        assert f"the text has {words + 2} tokens; the model takes 1 to 510" in answer.text


def test_a_model_with_fewer_positions_than_it_says_is_not_served(tmp_path: Path, start: Any) -> None:
    config = {"architectures": ["OddForTokenClassification"], "max_position_embeddings": 64}
    server = start(save(tmp_path / "odd", config, 64))
    assert server.process.wait(30) != 0
    said = server.log.read_text()
    assert "model.onnx: fails on 64 tokens, the most that config.json and modelserve.yaml let through" in said
    assert "write limits.maxLength: 60 into modelserve.yaml" in said


def test_a_model_with_fewer_positions_than_it_says_is_served_with_a_limit(tmp_path: Path, start: Any) -> None:
    config = {"architectures": ["OddForTokenClassification"], "max_position_embeddings": 64}
    folder = save(tmp_path / "odd", config, 64)
    (folder / "modelserve.yaml").write_text("limits: {maxLength: 60}")
    assert start(folder).ready()
