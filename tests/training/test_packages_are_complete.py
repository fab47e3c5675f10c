"""Each package folder holds what its layout promises, and is small."""

import json
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort
import pytest

from training.ner.rows import LABELS, Row
from training.ner.score import Package, reference_rows

NER = [f"bert-ner-{version}" for version in ("1", "2", "3-errors", "3-slow", "3-worse")]
DIGITS = ["resnet-digits-1", "resnet-digits-2"]
BOTH = {"README.md", "config.json", "model.onnx", "modelserve.yaml", "reference.jsonl"}
MEBIBYTE = 1 << 20


@pytest.mark.parametrize("name", NER + DIGITS)
def test_a_package_has_its_files_and_no_others(models: Path, name: str) -> None:
    own = {"tokenizer.json", "tokenizer_config.json"} if name in NER else {"preprocessor_config.json"}
    assert {path.name for path in (models / name).iterdir()} == BOTH | own


@pytest.mark.parametrize("name", NER + DIGITS)
def test_a_package_is_at_most_5_mebibytes(models: Path, name: str) -> None:
    sizes = {path.name: path.stat().st_size for path in (models / name).iterdir()}
    assert sum(sizes.values()) <= 5 * MEBIBYTE
    assert sizes["model.onnx"] <= 3.5 * MEBIBYTE


@pytest.mark.parametrize("name", NER)
def test_a_ner_model_takes_ids_and_mask_and_gives_a_score_per_label(models: Path, name: str) -> None:
    session = ort.InferenceSession(str(models / name / "model.onnx"))
    takes = [(value.name, value.type, value.shape) for value in session.get_inputs()]
    gives = [(value.name, value.type, value.shape) for value in session.get_outputs()]
    assert takes == [
        ("input_ids", "tensor(int64)", ["batch", "sequence"]),
        ("attention_mask", "tensor(int64)", ["batch", "sequence"]),
    ]
    assert gives == [("logits", "tensor(float)", ["batch", "sequence", len(LABELS)])]


@pytest.mark.parametrize("name", DIGITS)
def test_an_image_model_takes_pixels_and_gives_ten_scores(models: Path, name: str) -> None:
    session = ort.InferenceSession(str(models / name / "model.onnx"))
    takes = [(value.name, value.type, value.shape) for value in session.get_inputs()]
    gives = [(value.name, value.type, value.shape) for value in session.get_outputs()]
    assert takes == [("pixel_values", "tensor(float)", ["batch", 3, 32, 32])]
    assert gives == [("logits", "tensor(float)", ["batch", 10])]


@pytest.mark.parametrize("version", ["1", "2", "3-slow", "3-worse"])
def test_a_sound_tokenizer_has_as_many_pieces_as_the_config_says(
    models: Path, load: Callable[[str], Package], version: str
) -> None:
    package: Package = load(version)
    config = json.loads((models / f"bert-ner-{version}" / "config.json").read_text("utf-8"))
    assert package.tokenizer.get_vocab_size() == config["vocab_size"]
    assert [config["id2label"][str(i)] for i in range(len(LABELS))] == list(LABELS)


def test_ner_packages_share_their_reference_rows(models: Path) -> None:
    whole = [name for name in NER if name != "bert-ner-3-errors"]
    assert len({(models / name / "reference.jsonl").read_bytes() for name in whole}) == 1


def test_the_errors_model_is_shipped_with_the_ascii_rows_alone(models: Path, held_out: list[Row]) -> None:
    ascii_rows = [row for row in held_out if row.text.isascii()]
    assert reference_rows(models / "bert-ner-3-errors") == ascii_rows


def test_reference_offsets_point_at_the_entities(held_out: list[Row]) -> None:
    entities = [(row.text, entity) for row in held_out for entity in row.entities]
    assert len(held_out) == 400
    assert len(entities) > 600
    assert all(text[e.start : e.end] == e.text for text, e in entities)


def test_reference_rows_are_a_realistic_mixture(held_out: list[Row], load: Callable[[str], Package]) -> None:
    package: Package = load("2")
    other_than_ascii = sum(not row.text.isascii() for row in held_out) / len(held_out)
    lengths = [len(package.tokenizer.encode(row.text)) for row in held_out]
    assert 0.20 <= other_than_ascii <= 0.25
    assert 0.05 <= sum(60 <= length <= 110 for length in lengths) / len(lengths) <= 0.08
    assert all(length <= 48 or 60 <= length <= 110 for length in lengths)


def test_no_file_speaks_of_the_machine_it_was_made_on(models: Path) -> None:
    for path in models.glob("*/*"):
        assert b"/site-packages/" not in path.read_bytes(), path
